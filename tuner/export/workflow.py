"""A workflow for ComfyUI that draws a picture as this program drew it: same noise, same steps, same LoRA."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tuner.export.nodes import Canvas, Node, Output, api_form, ui_form
from tuner.export.private import is_private
from tuner.flux.catalog import Flavour

LONGEST = 300_000
"""Characters of both forms together in the header of a file, which may hold 1 MiB in all."""


@dataclass(frozen=True)
class Models:
    """By the names that ComfyUI gives them."""

    transformer: str
    clip: str = "clip_l.safetensors"
    t5: str = "t5xxl_fp16.safetensors"
    vae: str = "ae.safetensors"
    weight_dtype: str = "default"

    @property
    def precision(self) -> str:
        """Of the transformer in ComfyUI, in the words of `base_model_precision`."""
        few_bits = "fp8" in f"{self.weight_dtype} {self.transformer}".lower()
        return _FP8[0] if few_bits else "no_change"


@dataclass(frozen=True)
class RealGuidance:
    """Against a negative prompt, from step `first` on, counted from 0, of more steps than that."""

    scale: float
    negative: str
    first: int = 0


@dataclass(frozen=True)
class Drawing:
    """All that makes a picture. `guidance` is None where the flavour embeds none; `shift` is (largest, base)
    where sigmas move with the size of the picture; `references` are files in ComfyUI's input folder.
    """

    models: Models
    lora: str
    strength: float
    prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance: float | None = None
    real: RealGuidance | None = None
    shift: tuple[float, float] | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workflow:
    """Both forms of a graph: `api` for a server, `ui` for the page."""

    api: dict[str, Any]
    ui: dict[str, Any]


def workflow(drawing: Drawing) -> Workflow:
    nodes = _graph(drawing)
    return Workflow(api_form(nodes), ui_form(nodes))


def header(drawing: Drawing) -> dict[str, str]:
    """For the LoRA itself: dropped on ComfyUI's page it opens the workflow. Empty where words are private."""
    files = vars(drawing.models).values()
    if any(is_private(text) for text in (*_texts(drawing), drawing.lora, *drawing.references, *files)):
        return {}
    both = workflow(drawing)
    texts = {"workflow": json.dumps(both.ui), "prompt": json.dumps(both.api)}
    return texts if sum(map(len, texts.values())) <= LONGEST else {}


def stamped(picture: Path, both: Workflow) -> bytes:
    """The picture as a PNG that opens as this workflow when it is dropped on ComfyUI's page."""
    notes, data = PngInfo(), io.BytesIO()
    notes.add_text("prompt", json.dumps(both.api))
    notes.add_text("workflow", json.dumps(both.ui))
    with Image.open(picture) as image:
        image.convert("RGB").save(data, "PNG", pnginfo=notes)
    return data.getvalue()


_OWN_FILES: dict[str, tuple[str, str, str]] = {
    "dev": ("flux1-dev.safetensors", "flux dev", "krea kontext schnell fill canny depth redux booru"),
    "krea": ("flux1-krea-dev.safetensors", "flux krea", ""),
    "schnell": ("flux1-schnell.safetensors", "flux schnell", ""),
    "kontext": ("flux1-dev-kontext_fp8_scaled.safetensors", "flux kontext", ""),
    "fluxbooru": ("fluxbooru.safetensors", "booru", ""),
    "libreflux": ("libreflux.safetensors", "libre flux", ""),
}
"""By flavour: the usual file, the words in names of others like it, and words that tell of another one."""
_FP8 = ("fp8-quanto", "fp8uz-quanto")


def models(flavour: Flavour, precision: str, listed: Callable[[str], Sequence[str]]) -> Models:
    """The files that a ComfyUI has for this flavour, or the usual names of what it lacks; `listed` gives the
    names of one kind.
    """
    usual, words, others = _OWN_FILES[flavour.name]
    transformer = _pick(listed("diffusion_models"), usual, words, others)
    text_encoders = listed("text_encoders")
    rounds = precision in _FP8 and "fp8" not in transformer.lower()
    return Models(
        transformer,
        _pick(text_encoders, Models.clip, "clip_l", ""),
        _pick(text_encoders, Models.t5, "t5xxl", ""),
        _pick(listed("vae"), Models.vae, "ae", "vae wan qwen video sdxl"),
        "fp8_e4m3fn" if rounds else "default",
    )


def _pick(names: Sequence[str], usual: str, words: str, others: str) -> str:
    by_file = {name.replace("\\", "/").rsplit("/", 1)[-1].lower(): name for name in names}
    if usual in by_file:
        return by_file[usual]
    fits = (
        name
        for file, name in sorted(by_file.items())
        if all(word in file for word in words.split()) and not any(word in file for word in others.split())
    )
    return next(fits, usual)


def _graph(drawing: Drawing) -> list[Node]:
    """Sigmas come from the shifted model: from any other, the shift would be lost."""
    canvas, files = Canvas(), drawing.models
    model = canvas.add("UNETLoader", unet_name=files.transformer, weight_dtype=files.weight_dtype)
    clip = canvas.add(
        "DualCLIPLoader", clip_name1=files.clip, clip_name2=files.t5, type="flux", device="default"
    )
    vae = canvas.add("VAELoader", vae_name=files.vae)
    model = canvas.add(
        "LoraLoaderModelOnly", model=model, lora_name=drawing.lora, strength_model=drawing.strength
    )
    size = {"width": drawing.width, "height": drawing.height}
    if drawing.shift:
        largest, base = drawing.shift
        model = canvas.add("ModelSamplingFlux", model=model, max_shift=largest, base_shift=base, **size)
    sigmas = canvas.add("BasicScheduler", model=model, scheduler="simple", steps=drawing.steps, denoise=1.0)
    latent = canvas.add("EmptySD3LatentImage", **size, batch_size=1)
    references = [_reference(canvas, name, vae) for name in drawing.references]
    said = [_text(canvas, drawing, clip, text, references) for text in _texts(drawing)]
    latent = _sampled(canvas, drawing, _Source(model, sigmas, latent), *said)
    picture = canvas.add("VAEDecode", samples=latent, vae=vae)
    canvas.add("SaveImage", images=picture, filename_prefix="FluxTuner")
    return canvas.nodes


def _reference(canvas: Canvas, name: str, vae: Output) -> Output:
    picture = canvas.add("LoadImage", image=name, upload="image")
    return canvas.add("VAEEncode", pixels=canvas.add("FluxKontextImageScale", image=picture), vae=vae)


def _text(canvas: Canvas, drawing: Drawing, clip: Output, text: str, references: Sequence[Output]) -> Output:
    said = canvas.add("CLIPTextEncode", clip=clip, text=text)
    for latent in references:
        said = canvas.add("ReferenceLatent", conditioning=said, latent=latent)
    if drawing.guidance is None:
        return said
    return canvas.add("FluxGuidance", conditioning=said, guidance=drawing.guidance)


def _texts(drawing: Drawing) -> tuple[str, ...]:
    """The prompt, and the negative one where it acts."""
    return (drawing.prompt,) if drawing.real is None else (drawing.prompt, drawing.real.negative)


class _Source(NamedTuple):
    """What all steps share, and the latent that they begin with."""

    model: Output
    sigmas: Output
    latent: Output


def _sampled(
    canvas: Canvas, drawing: Drawing, source: _Source, positive: Output, negative: Output | None = None
) -> Output:
    """Euler's steps; where real guidance begins late, those before it apart."""
    sampler = canvas.add("KSamplerSelect", sampler_name="euler")

    def stepped(noise: Output, guider: Output, sigmas: Output, latent: Output) -> Output:
        return canvas.add(
            "SamplerCustomAdvanced",
            noise=noise,
            guider=guider,
            sampler=sampler,
            sigmas=sigmas,
            latent_image=latent,
        )

    model, sigmas, latent = source
    noise = canvas.add("RandomNoise", noise_seed=drawing.seed, control_after_generate="fixed")
    real = drawing.real
    if real is None or real.first:
        guider = canvas.add("BasicGuider", model=model, conditioning=positive)
        if real is None:
            return stepped(noise, guider, sigmas, latent)
        parts = canvas.add("SplitSigmas", sigmas=sigmas, step=real.first)
        latent = stepped(noise, guider, parts, latent)
        noise, sigmas = canvas.add("DisableNoise"), Output(parts.node, 1)
    guider = canvas.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=real.scale)
    return stepped(noise, guider, sigmas, latent)
