"""What a run reads and keeps: where the model's parts lie, how cache entries are named, which texts and
previews it wants.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.dataset import keys
from tuner.dataset.index import DatasetIndex, Picture
from tuner.flux.fingerprint import fingerprint
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes


def model_place(settings: RunSettings) -> str:
    """The folder or hub name of the whole model: what was given, else the flavour's own."""
    return settings.model.pretrained_model_name_or_path or settings.flavour.repository


def vae_place(settings: RunSettings) -> str:
    return settings.model.pretrained_vae_model_name_or_path or model_place(settings)


def transformer_place(settings: RunSettings) -> tuple[str, str | None]:
    """(folder or hub name, subfolder); a subfolder "none" means the root."""
    own = settings.model.pretrained_transformer_model_name_or_path
    if own is None:
        return model_place(settings), "transformer"
    subfolder = settings.model.pretrained_transformer_subfolder
    return own, None if subfolder == "none" else subfolder


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

    def prompt_key(self, text: str) -> str:
        return keys.prompt_key(text, f"{self.encoders}-{self.num_text_tokens}")


def cache_names(settings: RunSettings) -> CacheNames:
    """Names that change with the model, its numbers and the text length, and with nothing else."""
    folder = Path(settings.dataset.cache_dir or Path(settings.saving.output_dir) / "cache")
    model, precision = settings.model, settings.model.mixed_precision
    vae = fingerprint(vae_place(settings), "vae", model.revision)
    encoders = [
        fingerprint(model_place(settings), part, model.revision)
        for part in ("text_encoder", "text_encoder_2")
    ]
    return CacheNames(
        folder / "vae",
        folder / "text",
        vae,
        model.vae_dtype,
        "-".join([*encoders, precision]),
        num_text_tokens(settings),
    )


def texts(settings: RunSettings, index: DatasetIndex) -> tuple[str, ...]:
    """Every text that the run will need, once: captions, the empty one where captions are dropped, sample
    prompts.
    """
    wanted = [caption for picture in index.pictures for caption in picture.captions]
    if settings.objective.caption_dropout_probability > 0:
        wanted.append("")
    wanted += [request.prompt for request in previews(settings)]
    return tuple(dict.fromkeys(wanted))


def previews(settings: RunSettings) -> tuple[SampleRequest, ...]:
    """The previews of every round: each prompt at each size, all from the same seed."""
    sampling = settings.sampling
    if sampling.validation_disable:
        return ()
    prompts = [(one.name, one.prompt) for one in settings.prompts]
    if not sampling.validation_disable_unconditional:
        prompts.insert(0, ("unconditional", ""))
    if sampling.validation_prompt:
        prompts.append(("validation", sampling.validation_prompt))
    return tuple(
        SampleRequest(prompt, seed + number, name, width, height)
        for seed in (preview_seed(settings),)
        for name, prompt in prompts
        for width, height in preview_sizes(sampling.validation_resolution)
        for number in range(sampling.num_validation_images)
    )


def preview_seed(settings: RunSettings) -> int:
    """`validation_seed`, else the run's seed, else 0."""
    given = settings.sampling.validation_seed
    return given if given is not None else settings.optimization.seed or 0
