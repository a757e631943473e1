"""The sample that stands for a run, as a drawing that ComfyUI can repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tuner.dataset import scan
from tuner.errors import Advice, ModelMissing, TunerError
from tuner.export.comfyui import Install
from tuner.export.workflow import Drawing, RealGuidance, models
from tuner.files import choice, journal
from tuner.files.run_folder import RunFolder
from tuner.flux import loading
from tuner.flux.sigmas import AutoShift
from tuner.plan import sources
from tuner.settings import flavours
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes
from tuner.view import Sample, from_events

_USUAL_SHIFT = (1.15, 0.5)
"""Of FLUX.1 [dev], for 4096 and for 256 tokens; where the scheduler's own file is out of reach."""


@dataclass(frozen=True)
class Scene:
    """`picture` is the sample itself, where there is one of this very step, or one was asked for;
    `references` are what it was drawn from. `name` is the sample's, "" where there is none; `as_drawn`:
    training drew it at this very step and strength.
    """

    drawing: Drawing
    picture: Path | None
    references: tuple[Path, ...]
    name: str = ""
    as_drawn: bool = False

    def request(self, strength: float | None = None) -> SampleRequest:
        """What draws it here, at its own strength or another one."""
        one = self.drawing
        return SampleRequest(
            one.prompt,
            one.seed,
            self.name,
            one.width,
            one.height,
            strength=one.strength if strength is None else strength,
            references=self.references,
        )


def scene(
    settings: RunSettings,
    folder: RunFolder,
    step: int,
    lora: str,
    install: Install | None = None,
    name: str | None = None,
) -> Scene:
    """The sample `name`, or the first one, of the last round up to `step`; without any, the bare trigger.

    `lora` is what ComfyUI will call the file. Raises TunerError where there is no such sample.
    """
    settings = flavours.settled(settings)
    sample = _sample(folder, step, name)
    request = _request(settings, sample)
    references = request.references or _references(settings, sample)
    guidance = settings.sampling.validation_guidance
    usual, chosen = _strength(settings, request.prompt), choice.strength(folder)
    drawing = Drawing(
        models=models(
            settings.flavour,
            settings.memory.base_model_precision,
            install.models if install else lambda kind: (),
        ),
        lora=lora,
        strength=float(usual if chosen is None else chosen),
        prompt=request.prompt,
        seed=request.seed,
        width=request.width or 1024,
        height=request.height or 1024,
        steps=settings.sampling.validation_num_inference_steps,
        guidance=float(guidance) if settings.flavour.guidance_embeds else None,
        real=_real(settings),
        shift=_shift(settings),
        references=tuple(_reference_names(lora, references)),
    )
    exact = sample is not None and (sample.step == step or name is not None)
    picture = Path(sample.path) if sample and exact and Path(sample.path).is_file() else None
    as_drawn = sample is not None and sample.step == step and drawing.strength == usual
    return Scene(drawing, picture, references, request.name, as_drawn)


def _sample(folder: RunFolder, step: int, name: str | None) -> Sample | None:
    events = journal.read(folder.events)[0] if folder.events.is_file() else []
    samples = [one for one in from_events(events).samples if one.step]
    if name is not None:
        named = [one for one in samples if one.name == name]
        if not named:
            names = ", ".join(dict.fromkeys(one.name for one in samples)) or "none"
            raise TunerError(f"This run has no sample '{name}'.", Advice(f"It has: {names}."))
        return next((one for one in reversed(named) if one.step <= step), named[0])
    newest = max((one.step for one in samples if one.step <= step), default=None)
    return next((one for one in samples if one.step == newest), None)


def _request(settings: RunSettings, sample: Sample | None) -> SampleRequest:
    width, height = preview_sizes(settings.sampling.validation_resolution)[0]
    if sample is None:
        seed = settings.sampling.validation_seed or settings.optimization.seed or 0
        return SampleRequest(settings.trigger, max(seed, 0), width=width, height=height)
    if Path(sample.path).is_file():
        with Image.open(sample.path) as image:
            width, height = image.size
    return SampleRequest(sample.prompt, sample.seed, sample.name, width, height)


def _references(settings: RunSettings, sample: Sample | None) -> tuple[Path, ...]:
    """What kontext drew a sample from: its pictures are looked up by their names, and may be gone."""
    if sample is None or not settings.flavour.takes_references:
        return ()
    try:
        requests = sources.previews(settings, scan.scan(settings), sample.step)
    except TunerError:
        return ()
    named = zip(sources.labels(requests), requests, strict=True)
    found = next((one for label, one in named if label == sample.name), None)
    return () if found is None else tuple(path for path in found.references if path.is_file())


def _reference_names(lora: str, references: Sequence[Path]) -> list[str]:
    """In ComfyUI's input folder: by the LoRA's name, so that no picture of the user has it."""
    stem = Path(lora.replace("\\", "/")).stem
    return [f"{stem}-reference-{number}.png" for number in range(1, len(references) + 1)]


def _strength(settings: RunSettings, prompt: str) -> float:
    own = (one.adapter_strength for one in settings.prompts if one.prompt == prompt)
    given = next(own, None)
    return settings.adapter.validation_lycoris_strength if given is None else given


def _real(settings: RunSettings) -> RealGuidance | None:
    sampling = settings.sampling
    first = sampling.validation_no_cfg_until_timestep
    if sampling.validation_guidance_real <= 1 or first >= sampling.validation_num_inference_steps:
        return None
    return RealGuidance(float(sampling.validation_guidance_real), sampling.validation_negative_prompt, first)


def _shift(settings: RunSettings) -> tuple[float, float] | None:
    try:
        config = loading.scheduler_config(sources.model_place(settings), settings.model.revision)
    except ModelMissing:
        return _USUAL_SHIFT if settings.flavour.architecture == "flux-1-dev" else None
    if not config.get("use_dynamic_shifting"):
        return None
    shift = AutoShift.of(config)
    return round(math.log(shift.at(4096)), 6), round(math.log(shift.at(256)), 6)
