"""Cached prompts to pictures: the previews of a run, and `render` for anybody who asks without a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file

from tuner.events import Emit, SampleReady
from tuner.files.run_folder import RunFolder
from tuner.flux import latents as lat
from tuner.flux import loading
from tuner.flux.denoise import denoise, initial_noise, sampling_sigmas
from tuner.flux.objective import Conditions
from tuner.plan import sources
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes
from tuner.training.encode import encode_texts, load_vae
from tuner.training.feed import Caches, open_caches
from tuner.training.hardware import Hardware, find_hardware, free_memory
from tuner.training.prepare import load_with_adapter

_TOKENS_AT_ONCE = 4096
"""Small pictures are drawn together, up to the tokens of one picture of 1024 px."""


@dataclass(frozen=True)
class Sampler:
    """Everything that turns requests into pictures while the transformer is loaded."""

    settings: RunSettings
    transformer: torch.nn.Module
    vae: torch.nn.Module
    caches: Caches
    hardware: Hardware
    scheduler: Mapping[str, Any]

    @torch.no_grad()
    def draw(self, requests: Sequence[SampleRequest]) -> Iterator[Image.Image]:
        """One picture a request, in their order. Leaves the transformer in training mode if it was."""
        training = self.transformer.training
        self.transformer.eval()
        try:
            for (size, steps, guidance), alike in groupby(map(self._filled, requests), key=_shape):
                group = list(alike)
                at_once = max(1, _TOKENS_AT_ONCE // (size[0] * size[1] // 256))
                for start in range(0, len(group), at_once):
                    yield from self._draw_alike(group[start : start + at_once], size, steps, guidance)
        finally:
            self.transformer.train(training)

    def _draw_alike(
        self, requests: Sequence[SampleRequest], size: tuple[int, int], steps: int, guidance: float
    ) -> Iterator[Image.Image]:
        device, dtype = self.hardware.device, self.hardware.dtype
        width, height = size[0] // 8, size[1] // 8
        channels = self.transformer.config.in_channels // 4
        noise = torch.cat([initial_noise(channels, height, width, one.seed) for one in requests])
        prompts = [self.caches.prompt(one.prompt) for one in requests]
        conditions = Conditions(
            *(torch.stack([p[name] for p in prompts]).to(device, dtype) for name in ("pooled", "embeddings"))
        )
        sigmas = sampling_sigmas(steps, width * height // 4, self.scheduler)
        embedded = guidance if self.transformer.config.guidance_embeds else None
        with torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16):
            made = denoise(self.transformer, noise.to(device, dtype), conditions, sigmas, embedded)
        for one in made:
            decoded = self.vae.decode(lat.denormalize(one[None].to(self.vae.dtype), self.vae.config)).sample[
                0
            ]
            yield _to_image(decoded)

    def _filled(self, request: SampleRequest) -> SampleRequest:
        """The request with the run's own size, steps and guidance where it names none."""
        sampling = self.settings.sampling
        width, height = preview_sizes(sampling.validation_resolution)[0]
        return SampleRequest(
            request.prompt,
            request.seed,
            request.name,
            request.width or width,
            request.height or height,
            request.steps or sampling.validation_num_inference_steps,
            sampling.validation_guidance if request.guidance is None else request.guidance,
        )


def open_sampler(
    settings: RunSettings, transformer: torch.nn.Module, caches: Caches, hardware: Hardware
) -> Sampler:
    """Loads the VAE beside a transformer that is there already."""
    scheduler = loading.scheduler_config(sources.model_place(settings), settings.model.revision)
    return Sampler(settings, transformer, load_vae(settings, hardware), caches, hardware, scheduler)


def save_round(sampler: Sampler, folder: RunFolder, step: int, emit: Emit) -> None:
    """Draws the run's previews of one step into the run folder, telling of each as it appears."""
    requests = sources.previews(sampler.settings)
    folder.samples.mkdir(parents=True, exist_ok=True)
    for index, (request, image) in enumerate(zip(requests, sampler.draw(requests), strict=True)):
        name = f"step_{step}_{_file_word(request.name)}_{index}_{image.width}x{image.height}.png"
        save_picture(image, folder.samples / name, request)
        emit(
            SampleReady(
                step=step,
                name=request.name,
                prompt=request.prompt,
                seed=request.seed,
                path=str(folder.samples / name),
            )
        )


def save_picture(image: Image.Image, path: Path, request: SampleRequest) -> None:
    """A PNG that carries its prompt and seed; written beside and renamed."""
    notes = PngInfo()
    notes.add_itxt("prompt_text", request.prompt)
    notes.add_text("seed", str(request.seed))
    half = path.with_name(f".{path.name}.half")
    image.save(half, format="PNG", pnginfo=notes)
    os.replace(half, path)


def render(
    settings: RunSettings, requests: Sequence[SampleRequest], adapter: Path | None
) -> Iterator[Image.Image]:
    """Pictures without a run: encodes the prompts, frees the encoders, loads the transformer and the adapter
    file.
    """

    def silent(_: object) -> None:
        """Nobody watches these phases."""

    hardware, caches = find_hardware(settings, silent), open_caches(settings)
    wanted = tuple(dict.fromkeys(one.prompt for one in requests))
    if missing := caches.missing_texts(wanted):
        for _ in encode_texts(settings, missing, caches, hardware):
            pass
    transformer, attached = load_with_adapter(settings, hardware)
    sampler = open_sampler(settings, transformer, caches, hardware)
    if adapter is None:
        with attached.disabled():
            yield from sampler.draw(requests)
    else:
        attached.load(load_file(adapter))
        yield from sampler.draw(requests)
    del transformer, attached, sampler
    free_memory(hardware.device)


def _shape(request: SampleRequest) -> tuple[tuple[int, int], int, float]:
    assert request.width and request.height and request.steps and request.guidance is not None
    return (request.width, request.height), request.steps, request.guidance


def _to_image(pixels: torch.Tensor) -> Image.Image:
    """(3, H, W) in -1..1 to an RGB picture."""
    rows = ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    return Image.fromarray(rows.numpy())


def _file_word(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)[:60] or "sample"
