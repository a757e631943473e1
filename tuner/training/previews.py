"""Cached prompts to pictures: the previews of a run, and `render` for anybody who asks without a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from safetensors.torch import load_file

from tuner import machine
from tuner.adapters.adapter import Adapter
from tuner.dataset.decoding import decode
from tuner.errors import Advice, TunerError
from tuner.events import Emit, SampleReady
from tuner.flux import latents as lat
from tuner.flux import loading
from tuner.flux.denoise import CPU, RealGuidance, denoise, initial_noise, sampling_sigmas
from tuner.flux.kontext import reference_size
from tuner.flux.modulation import Asked, foreseen
from tuner.flux.objective import Conditions
from tuner.flux.weights import Change
from tuner.plan import fitting, sources
from tuner.plan.levers import Levers
from tuner.plan.phases import Plan
from tuner.settings import flavours
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes
from tuner.training.assistant import attach_assistant
from tuner.training.encode import encode_images, encode_texts, load_vae
from tuner.training.feed import Caches, open_caches
from tuner.training.hardware import Hardware, evaluating, find_hardware, free_memory
from tuner.training.models import load_transformer
from tuner.training.picture_files import ENDINGS, save
from tuner.training.prepare import load_with_adapter

_TOKENS_AT_ONCE = 4096
"""Small pictures are drawn together, up to the tokens of one picture of 1024 px."""
EMA = "EMA"
"""The mark of pictures that the running mean of the adapter makes."""
Loaded = tuple[torch.nn.Module, Adapter]


class Look(NamedTuple):
    """What pictures must share to be drawn together."""

    size: tuple[int, int]
    steps: int
    guidance: float
    strength: float
    references: tuple[Path, ...]


@dataclass(frozen=True)
class Sampler:
    """Everything that turns requests into pictures while the transformer is loaded."""

    settings: RunSettings
    transformer: torch.nn.Module
    adapter: Adapter
    vae: torch.nn.Module
    caches: Caches
    hardware: Hardware
    scheduler: Mapping[str, Any]

    @torch.no_grad()
    def draw(self, requests: Sequence[SampleRequest]) -> Iterator[Image.Image]:
        """One picture a request, in their order. Between pictures the transformer is as it was before."""
        groups = [(look, list(alike)) for look, alike in groupby(requests, key=self._look)]
        passes = (one for look, group in groups for one in self._passes(group, look))
        with foreseen(self.transformer, passes, self._autocast):
            for look, group in groups:
                at_once = max(1, _TOKENS_AT_ONCE // (look.size[0] * look.size[1] // 256))
                for start in range(0, len(group), at_once):
                    yield from self._draw_alike(group[start : start + at_once], look)

    def _passes(self, requests: Sequence[SampleRequest], look: Look) -> Iterator[Asked]:
        """What the transformer will be asked for pictures that are drawn alike."""
        conditions, embedded = self._conditions([one.prompt for one in requests]), self._embedded(look)
        real = self._real_guidance(conditions)
        for sigma in self._sigmas(look).tolist()[:-1]:
            for pooled in (conditions.pooled, *((real.negative.pooled,) if real else ())):
                one = torch.ones(len(pooled), device=pooled.device)
                yield Asked(sigma * one, None if embedded is None else embedded * one, pooled)

    def _draw_alike(self, requests: Sequence[SampleRequest], look: Look) -> Iterator[Image.Image]:
        device, dtype = self.hardware.device, self.hardware.dtype
        noise = torch.cat([self._noise(one.seed, look.size) for one in requests])
        references = self._references(look.references, len(requests))
        conditions = replace(self._conditions([one.prompt for one in requests]), references=references)
        sigmas, embedded = self._sigmas(look), self._embedded(look)
        autocast = torch.autocast(device.type, self._autocast, enabled=self._autocast is not None)
        with evaluating(self.transformer), self.adapter.strength(look.strength), autocast:
            real = self._real_guidance(conditions)
            made = denoise(self.transformer, noise.to(device, dtype), conditions, sigmas, embedded, real)
        for one in made:
            latents = lat.denormalize(one[None].to(self.vae.dtype), self.vae.config)
            yield _to_image(self.vae.decode(latents).sample[0])

    @property
    def _autocast(self) -> torch.dtype | None:
        return torch.bfloat16 if self.hardware.dtype == torch.bfloat16 else None

    def _sigmas(self, look: Look) -> torch.Tensor:
        return sampling_sigmas(look.steps, look.size[0] * look.size[1] // 256, self.scheduler)

    def _embedded(self, look: Look) -> float | None:
        """The guidance that the flavour is given as a number; None where it takes none."""
        return look.guidance if self.transformer.config.guidance_embeds else None

    def _noise(self, seed: int, size: tuple[int, int]) -> torch.Tensor:
        channels = self.transformer.config.in_channels // 4
        place = self.hardware.device if self.settings.sampling.validation_seed_source == "gpu" else CPU
        return initial_noise(channels, size[1] // 8, size[0] // 8, seed, place)

    def _conditions(self, texts: Sequence[str]) -> Conditions:
        """Padding is hidden where training hides it."""
        hidden = self.settings.objective.flux_attention_masked_training
        return self.caches.conditions(texts, self.hardware.device, self.hardware.dtype, hidden)

    def _references(self, paths: Sequence[Path], num_pictures: int) -> tuple[torch.Tensor, ...]:
        """Latents (B, C, h, w) of each, the same for all pictures, at the nearest size that kontext knows."""
        images = [decode(path.read_bytes()) for path in paths]
        sized = [one.resize(reference_size(one.size), Image.Resampling.LANCZOS) for one in images]
        latents = [encode_images(self.vae, [one])[0] for one in sized]
        return tuple(one.expand(num_pictures, -1, -1, -1).to(self.hardware.dtype) for one in latents)

    def _real_guidance(self, conditions: Conditions) -> RealGuidance | None:
        """Against the negative prompt, with everything else as in `conditions`."""
        sampling = self.settings.sampling
        if sampling.validation_guidance_real <= 1:
            return None
        negative = self._conditions([sampling.validation_negative_prompt] * len(conditions.pooled))
        return RealGuidance(
            sampling.validation_guidance_real,
            replace(negative, references=conditions.references),
            sampling.validation_no_cfg_until_timestep,
        )

    def _look(self, request: SampleRequest) -> Look:
        """What the request wants, with the run's own size, steps, guidance and strength by default."""
        sampling = self.settings.sampling
        width, height = preview_sizes(sampling.validation_resolution)[0]
        return Look(
            (request.width or width, request.height or height),
            request.steps or sampling.validation_num_inference_steps,
            sampling.validation_guidance if request.guidance is None else request.guidance,
            self.settings.adapter.validation_lycoris_strength
            if request.strength is None
            else request.strength,
            request.references,
        )


def open_sampler(
    settings: RunSettings,
    transformer: torch.nn.Module,
    adapter: Adapter,
    caches: Caches,
    hardware: Hardware,
) -> Sampler:
    """Loads the VAE beside a transformer that is there already, with its adapter inside."""
    scheduler = loading.scheduler_config(sources.model_place(settings), settings.model.revision)
    return Sampler(settings, transformer, adapter, load_vae(settings, hardware), caches, hardware, scheduler)


def save_round(sampler: Sampler, plan: Plan, step: int, emit: Emit, marks: Sequence[str] = ("",)) -> None:
    """Draws the run's previews of one step into the run folder, telling of each as it appears: once for each
    of `marks`, which stand in the names ("" for the adapter itself).
    """
    sampling, folder = sampler.settings.sampling, plan.folder
    requests = sources.previews(sampler.settings, plan.index, step)
    names = sources.labels(requests)
    folder.samples.mkdir(parents=True, exist_ok=True)
    for index, (request, image) in enumerate(zip(requests, sampler.draw(requests), strict=True)):
        for mark in marks:
            words = "_".join(filter(None, (_file_word(request.name), mark.lower())))
            file = f"step_{step}_{words}_{index}_{image.width}x{image.height}"
            path = folder.samples / (file + ENDINGS[sampling.validation_image_format])
            save(image, path, request, sampling.validation_image_quality)
            emit(
                SampleReady(
                    step=step,
                    name=names[index] + (f" ({mark})" if mark else ""),
                    prompt=request.prompt,
                    seed=request.seed,
                    path=str(path),
                )
            )


def with_less(settings: RunSettings) -> tuple[RunSettings, str]:
    """(settings whose previews need less memory, what will be different): the VAE's tiles, then half the
    size.
    """
    if not settings.memory.vae_enable_tiling:
        return replace(settings, memory=replace(settings.memory, vae_enable_tiling=True)), (
            "The next ones are decoded in tiles."
        )
    sizes = [(w // 32 * 16, h // 32 * 16) for w, h in preview_sizes(settings.sampling.validation_resolution)]
    half = ",".join(f"{max(64, width)}x{max(64, height)}" for width, height in sizes)
    sampling = replace(settings.sampling, validation_resolution=half)
    return replace(settings, sampling=sampling), f"The next ones are drawn at {half}."


def render(
    settings: RunSettings, requests: Sequence[SampleRequest], adapter: Path | None
) -> Iterator[Image.Image]:
    """Pictures without a run, of the untrained model or with the adapter file of a checkpoint."""

    def load(settings: RunSettings, hardware: Hardware, levers: Levers) -> Loaded:
        if adapter is None:
            transformer, attached = load_transformer(settings, hardware, levers), Adapter({})
        else:
            transformer, attached = load_with_adapter(settings, hardware, levers)
            attached.load(load_file(adapter))
        if settings.adapter.assistant_lora_inference_strength:
            attach_assistant(settings, transformer, hardware)
        return transformer, attached

    return _pictures(settings, requests, load)


def render_changed(
    settings: RunSettings, requests: Sequence[SampleRequest], change: Change
) -> Iterator[Image.Image]:
    """Pictures of a transformer whose weights become what `change` makes of them, and nothing beside."""

    def load(settings: RunSettings, hardware: Hardware, levers: Levers) -> Loaded:
        return load_transformer(settings, hardware, levers, change), Adapter({})

    return _pictures(settings, requests, load)


def _pictures(
    settings: RunSettings,
    requests: Sequence[SampleRequest],
    load: Callable[[RunSettings, Hardware, Levers], Loaded],
) -> Iterator[Image.Image]:
    """Encodes the prompts, frees the encoders, and only then loads the transformer."""

    def silent(_: object) -> None:
        """Nobody watches these phases."""

    settings = flavours.settled(settings)
    if any(one.references for one in requests) and not settings.flavour.takes_references:
        raise TunerError(
            f"{settings.flavour.title} cannot look at reference pictures.",
            Advice("Choose the flavour kontext.", {"model.model_flavour": "kontext"}),
        )
    hardware, caches = find_hardware(settings, silent), open_caches(settings)
    levers = fitting.for_pictures(settings, machine.read())
    if missing := caches.missing_texts(sources.preview_texts(settings, requests)):
        for _ in encode_texts(settings, missing, caches, hardware, levers.text_by_layer):
            pass
    transformer, attached = load(settings, hardware, levers)
    sampler = open_sampler(settings, transformer, attached, caches, hardware)
    yield from sampler.draw(requests)
    del transformer, attached, sampler
    free_memory(hardware.device)


def _to_image(pixels: torch.Tensor) -> Image.Image:
    """(3, H, W) in -1..1 to an RGB picture."""
    rows = ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    return Image.fromarray(rows.numpy())


def _file_word(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)[:60] or "sample"
