"""The pictures that are made during training, to see how it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuner.settings.fields import setting


@dataclass(frozen=True)
class SamplePrompt:
    """One preview: `name` becomes part of the picture's file name; `adapter_strength` None is that of all."""

    name: str
    prompt: str
    adapter_strength: float | None = None


@dataclass(frozen=True)
class Sampling:
    validation_disable: bool = setting(False, "No previews", "Trains without making any picture.")
    validation_step_interval: int = setting(
        100,
        "Preview every N steps",
        "How often pictures are made; each costs a little time.",
        level="basic",
        minimum=0,
        aliases=("validation_steps",),
    )
    validation_epoch_interval: int | None = setting(
        None,
        "Preview every N epochs",
        "Also makes pictures at the end of every so many epochs.",
        level="expert",
        minimum=1,
    )
    validate_after_step: int | None = setting(
        None,
        "No preview before step",
        "Waits that long with the first picture; step 0 and the last step are shown all the same.",
        level="expert",
        minimum=0,
    )
    validate_after_epoch: int | None = setting(
        None,
        "No preview before epoch",
        "Waits until so many epochs are over; step 0 and the last step are shown all the same.",
        level="expert",
        minimum=0,
    )
    validation_on_startup: bool = setting(
        False,
        "Preview at the start",
        "Makes pictures before the first step, also where a run goes on from a checkpoint.",
        level="expert",
    )
    validation_prompt: str | None = setting(
        None, "Preview prompt", "One more prompt beside the library.", level="basic", empty=True
    )
    validation_prompt_library: bool = setting(
        False,
        "Ready-made prompts",
        "Also makes ten general pictures, which show what the model has kept of everything else.",
        level="expert",
    )
    user_prompt_library: str | None = setting(
        None,
        "Prompt library file",
        "Where the preview prompts lie; empty means beside config.json.",
        level="expert",
    )
    validation_disable_unconditional: bool = setting(
        False, "No empty prompt", "Leaves out the picture that is made without any prompt."
    )
    validation_negative_prompt: str = setting(
        "blurry, cropped, ugly",
        "Negative prompt",
        "What a picture should not be; it acts only with real guidance above 1.",
        level="expert",
        empty=True,
    )
    validation_guidance: float = setting(
        7.5, "Guidance", "How closely previews follow the prompt; 3 to 3.5 suits FLUX.1.", minimum=0
    )
    validation_guidance_real: float = setting(
        1.0,
        "Real guidance",
        "Classifier-free guidance for de-distilled models; above 1 each preview takes twice as long.",
        level="expert",
        minimum=0,
    )
    validation_no_cfg_until_timestep: int = setting(
        2, "Real guidance from", "First steps of a picture without real guidance.", level="expert", minimum=0
    )
    validation_num_inference_steps: int = setting(
        30, "Preview steps", "How many steps one picture takes.", minimum=1, maximum=1000
    )
    validation_resolution: str = setting(
        "256",
        "Preview size",
        "Width x height in pixels, for instance 1024x768; a list with commas makes several.",
    )
    validation_seed: int | None = setting(
        None,
        "Preview seed",
        "Start of the noise of each picture; empty means the seed of the run.",
        minimum=0,
    )
    validation_seed_source: str = setting(
        "cpu",
        "Preview noise from",
        "Where the noise is drawn: 'cpu' gives the same pictures on every computer.",
        level="expert",
        choices=("cpu", "gpu"),
    )
    validation_randomize: bool = setting(
        False, "New noise each time", "Draws other noise for every preview.", level="expert"
    )
    num_validation_images: int = setting(
        1, "Pictures a prompt", "How many pictures each prompt gives.", level="expert", minimum=1, maximum=64
    )
    num_eval_images: int = setting(
        4,
        "Dataset pictures",
        "How many pictures of each dataset Kontext's previews start from.",
        level="expert",
        minimum=1,
    )
    validation_noise_scheduler: str | None = setting(
        None,
        "Sampler",
        "The sampler of the previews; FLUX.1 uses euler.",
        level="expert",
        choices=("ddim", "ddpm", "euler", "euler-a", "unipc", "dpm++", "perflow"),
        built=(None, "euler"),
        why="previews follow FLUX's flow in Euler steps, as its makers do",
    )
    validation_image_format: str = setting(
        "png",
        "Picture format",
        "File format of previews; prompt and seed stand in each of them.",
        level="expert",
        choices=("png", "webp", "jpeg"),
    )
    validation_image_quality: int = setting(
        90, "Picture quality", "Quality of webp and jpeg.", level="expert", minimum=1, maximum=100
    )
    validation_preview: bool = setting(
        False,
        "Watch it grow",
        "Shows pictures while they are made.",
        level="expert",
        built=(False,),
        why="a half-made picture needs a second decoder, and previews are shown when they are finished",
    )
    validation_preview_steps: int = setting(
        1,
        "Watch every N steps",
        "How often the growing picture is shown.",
        level="expert",
        minimum=1,
        moot="previews are shown when they are finished",
    )
    disable_benchmark: bool = setting(
        False, "No baseline", "Leaves out the pictures of the untuned model at step 0.", level="expert"
    )
    validation_multigpu: str = setting(
        "batch-parallel",
        "Previews on several cards",
        "How prompts are shared among cards.",
        level="expert",
        choices=("single-gpu", "batch-parallel"),
        moot="previews are made on one card",
    )
    validation_using_datasets: bool = setting(
        False,
        "Previews from pictures",
        "Starts previews from pictures of the dataset.",
        level="expert",
        built=(False,),
        why="Kontext's previews start from the dataset's references in any case, and those of the other "
        "flavours from noise",
    )
    eval_dataset_id: str | None = setting(
        None,
        "Previews from",
        "The dataset that Kontext's previews start from; empty means every one with references.",
        level="expert",
    )
    eval_steps_interval: int | None = setting(
        None,
        "Evaluate every N steps",
        "How often the loss is measured on the datasets of type 'eval', which are not learned from.",
        level="expert",
        minimum=1,
    )
    eval_timesteps: int = setting(
        28,
        "Evaluation noise levels",
        "At how many noise levels each of those pictures is measured; each is one more pass.",
        level="expert",
        minimum=1,
    )


def preview_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """(width, height) of each preview, in whole 16 px: "512", "1024x768", or several with commas.

    A single number below 64 is megapixels (1 is 1024 x 1024), as in SimpleTuner. Raises ValueError in words.
    """
    sizes = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:[xX×]\s*(\d+))?\s*", part)
        if not found:
            raise ValueError(f"'validation_resolution' is '{text}'; it must look like 1024x768.")
        width = float(found[1])
        if not found[2] and width < 64:
            width = 1024 * width**0.5
        sizes.append((_whole_16(width), _whole_16(float(found[2] or width))))
    return tuple(sizes)


def _whole_16(edge: float) -> int:
    return max(16, round(edge / 16) * 16)
