"""What a run reads and keeps: where the model's parts lie, how cache entries are named, which texts and
previews it wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tuner.dataset import keys
from tuner.dataset.index import Companion, DatasetIndex, Picture
from tuner.flux.fingerprint import fingerprint
from tuner.flux.single_file import is_single_file
from tuner.plan.edits import edits
from tuner.settings.prompts import READY_MADE
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt, preview_sizes


def model_place(settings: RunSettings) -> str:
    """The folder or hub name of the whole model: what was given, else the flavour's own; the latter too
    where a single file was given, of which only the transformer is used.
    """
    given = settings.model.pretrained_model_name_or_path
    return settings.flavour.repository if given is None or is_single_file(given) else given


def vae_place(settings: RunSettings) -> str:
    return settings.model.pretrained_vae_model_name_or_path or model_place(settings)


def transformer_place(settings: RunSettings) -> tuple[str, str | None]:
    """(folder, hub name or single file; subfolder); a subfolder "none" means the root."""
    own = settings.model.pretrained_transformer_model_name_or_path
    if own is None:
        return settings.model.pretrained_model_name_or_path or model_place(settings), "transformer"
    subfolder = settings.model.pretrained_transformer_subfolder
    return own, None if subfolder == "none" else subfolder


def assistant_place(settings: RunSettings) -> str | None:
    """The file, folder or hub name of the assistant LoRA: what was given, else the flavour's own."""
    if settings.adapter.disable_assistant_lora:
        return None
    return settings.adapter.assistant_lora_path or settings.flavour.assistant


def num_text_tokens(settings: RunSettings) -> int:
    """The length to which T5 pads: the setting, else what the flavour was trained with."""
    return settings.model.tokenizer_max_length or settings.flavour.num_text_tokens


@dataclass(frozen=True)
class CacheNames:
    """Both cache folders, and what their entries depend on beside a picture or a text."""

    latents: Path
    prompts: Path
    vae: str
    vae_dtype: str
    encoders: str
    num_text_tokens: int

    def latent_key(self, picture: Picture) -> str:
        return keys.latent_key(picture, f"{self.vae}-{self.vae_dtype}")

    def mask_key(self, picture: Picture) -> str:
        return keys.mask_key(picture)

    def reference_key(self, picture: Picture, reference: Companion) -> str:
        return keys.reference_key(picture, reference, f"{self.vae}-{self.vae_dtype}")

    def picture_keys(self, picture: Picture) -> tuple[str, ...]:
        """All entries that a picture needs: its latents, its mask, its references."""
        mask = [self.mask_key(picture)] if picture.mask else []
        references = [self.reference_key(picture, one) for one in picture.references]
        return (self.latent_key(picture), *mask, *references)

    def prompt_key(self, text: str) -> str:
        return keys.prompt_key(text, f"{self.encoders}-{self.num_text_tokens}")


def cache_names(settings: RunSettings) -> CacheNames:
    """Names that change with the model, its numbers and the text length, and with nothing else."""
    folder = Path(settings.dataset.cache_dir or Path(settings.saving.output_dir) / "cache")
    model, precision = settings.model, settings.model.mixed_precision
    version = "-".join(filter(None, (model.revision, model.variant))) or None
    vae = fingerprint(vae_place(settings), "vae", version)
    encoders = [
        fingerprint(model_place(settings), part, version) for part in ("text_encoder", "text_encoder_2")
    ]
    return CacheNames(
        folder / "vae",
        folder / "text",
        vae,
        model.vae_dtype,
        "-".join([*encoders, precision, *_encoder_precisions(settings)]),
        num_text_tokens(settings),
    )


def _encoder_precisions(settings: RunSettings) -> list[str]:
    """Those of the quantized text encoders, each with its part, since their embeddings differ."""
    memory = settings.memory
    given = {"1": memory.text_encoder_1_precision, "2": memory.text_encoder_2_precision}
    return [f"{part}{name}" for part, name in given.items() if name != "no_change"]


def notes(settings: RunSettings) -> tuple[str, ...]:
    """What is worth knowing about where the parts come from."""
    place, _ = transformer_place(settings)
    if not is_single_file(place):
        return ()
    return (
        f"Only the transformer is taken from '{place}'; the text encoders come from "
        f"'{model_place(settings)}' and the VAE from '{vae_place(settings)}'.",
    )


def texts(settings: RunSettings, index: DatasetIndex) -> tuple[str, ...]:
    """Every text that the run will need, once: captions, the empty one where captions are dropped, sample
    prompts.
    """
    wanted = [caption for picture in index.encoded for caption in picture.captions]
    if settings.objective.caption_dropout_probability > 0:
        wanted.append("")
    if requests := previews(settings, index):
        wanted += preview_texts(settings, requests)
    return tuple(dict.fromkeys(wanted))


def preview_texts(settings: RunSettings, requests: Sequence[SampleRequest]) -> tuple[str, ...]:
    """Every text that these pictures need, once: their prompts, and the negative one where it acts."""
    wanted = [request.prompt for request in requests]
    if settings.sampling.validation_guidance_real > 1:
        wanted.append(settings.sampling.validation_negative_prompt)
    return tuple(dict.fromkeys(wanted))


def previews(settings: RunSettings, index: DatasetIndex, step: int = 0) -> tuple[SampleRequest, ...]:
    """The previews of the round at `step`: each prompt at each size, all from the same noise. It is that of
    every round, unless `validation_randomize` wants another each time. Kontext edits pictures instead.
    """
    sampling = settings.sampling
    if sampling.validation_disable:
        return ()
    if settings.flavour.takes_references:
        return edits(settings, index, _preview_seeds(settings, step))
    return tuple(
        SampleRequest(one.prompt, seed, one.name, width, height, strength=one.adapter_strength)
        for one in _preview_prompts(settings)
        for width, height in preview_sizes(sampling.validation_resolution)
        for seed in _preview_seeds(settings, step)
    )


def _preview_prompts(settings: RunSettings) -> tuple[SamplePrompt, ...]:
    """In SimpleTuner's order: the empty one, the ready-made ones, the library, the single prompt."""
    sampling = settings.sampling
    empty, single = (
        SamplePrompt("unconditional", ""),
        SamplePrompt("validation", sampling.validation_prompt or ""),
    )
    return (
        *((empty,) if not sampling.validation_disable_unconditional else ()),
        *(READY_MADE if sampling.validation_prompt_library else ()),
        *settings.prompts,
        *((single,) if single.prompt else ()),
    )


def _preview_seeds(settings: RunSettings, step: int) -> list[int]:
    """One for each picture of a prompt, beginning with `validation_seed`, else the run's seed, else 0."""
    sampling = settings.sampling
    given = sampling.validation_seed
    first = given if given is not None else settings.optimization.seed or 0
    if sampling.validation_randomize:
        first = Random(f"{first} {step}").randrange(2**32)
    return [first + number for number in range(sampling.num_validation_images)]


def labels(requests: Sequence[SampleRequest]) -> list[str]:
    """What each picture of a round is called, the same in every round: its prompt's name, with the size and a
    number where pictures of that name differ in them.
    """
    return [_label(one, [other for other in requests if other.name == one.name]) for one in requests]


def _label(request: SampleRequest, namesakes: Sequence[SampleRequest]) -> str:
    sizes = {(one.width, one.height) for one in namesakes}
    seeds = sorted({one.seed for one in namesakes})
    size = f" {request.width}x{request.height}" if len(sizes) > 1 else ""
    return request.name + size + (f" #{seeds.index(request.seed) + 1}" if len(seeds) > 1 else "")
