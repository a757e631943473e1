"""Sentences of the Recipe tab, and how its numbers are said."""

from __future__ import annotations

from tuner.settings.run import RunSettings
from tuner.ui.wording import count, duration, file_size, number

LENGTH_HELP = "More steps learn more, and take longer."
DETAIL_HELP = "The size of the pictures in training. Finer needs more memory."
STRENGTH_HELP = "Too strong spoils the model, too gentle learns nothing."
ADAPTER_HELP = "LoRA is understood everywhere; LoKr keeps more of the model as it was."
AS_MEANT = "As the preset"
BY_EPOCHS = "as many steps as the epochs have"
OWN_PROMPTS = "Own"
KIND_HELP = "Fills in prompts for what you train, with your trigger word, and one without it to compare."
PROMPTS_HELP = "One prompt a line. A picture of each is made now and then, so that you can see how it goes."
SIZE_HELP = "Width x height in pixels."
SEED_HELP = "The same seed gives comparable pictures at every step."
NAME_HELP = "Its folder in runs/ and the name of its file."
NO_PICTURES = "No pictures yet. Drop some on the Images tab; then you read here what the recipe comes to."
AS_EARLIER = "as an earlier run here"
AS_REHEARSED = "with samples, as rehearsed"
REHEARSED = "measured in the rehearsal"
REHEARSAL = "Rehearsal"
READY = "Getting ready"
STOPPING_REHEARSAL = "The rehearsal stops after this step."
OWN_PRESETS = "My presets"
EXPERT = (
    "Every setting there is. What you change here counts for the next start; a running run is not touched. "
    "A dot marks what differs from the preset."
)
AS_PRESET = "Everything is as the preset has it."
SEARCH_HELP = "Part of its name, of its key in the files, or of what it does."
FILES_HELP = "As they will be written for the run, and as SimpleTuner reads them. They can be changed here."
FILES_CHANGED = "The recipe was changed meanwhile; this is the text as it is now."
LOAD_HELP = "Files of a SimpleTuner configuration; those that you leave out stay as they are."
LOAD_FOLDER_HELP = "Or a folder that holds them, for instance that of a run."
LOADED = "The recipe is now what these files say."
SAVE_PRESET_HELP = "A card of this name appears among the presets. Pictures and prompts are not part of it."
EXACT_TITLE = "Exact numbers"
EXACT = (
    ("Number of steps", "Empty: the epochs in the expert settings decide."),
    ("Size of the pictures", "In pixels."),
    ("Learning rate", "1e-4 suits a LoRA, 1e-3 a LoKr."),
    ("Rank of the LoRA", "Larger holds more, and makes a larger file."),
)
"""Fields for what the dials turn: steps, resolution, learning rate, rank."""


def length(steps: int, times: float | None) -> str:
    """`1,500 steps, each picture 62 times`."""
    return f"{count(steps, 'step')}{'' if times is None else f', each picture {_times(times)}'}"


def _times(times: float) -> str:
    whole = round(times)
    return "less than once" if times < 0.95 else "once" if whole == 1 else f"{whole:,} times"


def detail(edge_px: int, work: float) -> str:
    """`1024 px, 4 times the work`; `work` is 1 for the smallest."""
    return f"{edge_px} px" if work == 1 else f"{edge_px} px, {work:.2g} times the work"


def strength(rate: float | None, rank: int | None) -> str:
    """`rate 0.0001, rank 16`; what has no say is left out."""
    parts = [f"rate {plain(rate)}"] * (rate is not None) + [f"rank {rank}"] * (rank is not None)
    return ", ".join(parts) or "found by the optimizer"


def plain(value: float | None) -> str:
    """Without an exponent: `0.00005`."""
    return "–" if value is None else f"{value:.10f}".rstrip("0").rstrip(".")


def sentence(
    num_pictures: int,
    num_steps: int,
    batch: int,
    time: tuple[float, str] | None,
    peak: tuple[float, float, str, str],
    files: tuple[int, float],
) -> str:
    """`24 images × 62 passes = 1,500 steps, about 1 h 50 min (as an earlier run here), peak about 17.8 of
    24 GB VRAM (forecast), 3 files of about 52 MB to choose from`.

    `time` is seconds and how they are known, or None; `peak` is GB taken, GB there, of what, and how known;
    `files` how many, and MB of each.
    """
    passes = num_steps * batch / max(num_pictures, 1)
    steps = count(num_steps, "step") + (f" of {batch} images" if batch > 1 else "")
    parts = [f"{count(num_pictures, 'image')} × {number(round(passes, 1))} passes = {steps}"]
    if time is not None:
        parts.append(f"about {duration(time[0])} ({time[1]})")
    parts.append(f"peak about {peak[0]:.1f} of {peak[1]:.0f} GB {peak[2]} ({peak[3]})")
    parts.append(_files(*files))
    return ", ".join(parts)


def _files(num: int, megabytes: float) -> str:
    one = file_size(megabytes)
    return f"one {one}" if num == 1 else f"{num} files{one.removeprefix('file')} to choose from"


def really_delete(preset: str) -> str:
    return f"Delete the preset “{preset}”? The recipe stays as it is."


def summary(settings: RunSettings) -> str:
    """What somebody's own preset says, in the terms of the dials."""
    learning, edge = settings.optimization, settings.dataset.resolution
    steps = f"{count(learning.max_train_steps, 'step')}, " if learning.max_train_steps else ""
    precision = settings.memory.base_model_precision
    bits = "" if precision == "no_change" else f", {precision}"
    return f"{steps}{number(edge)} px, rate {plain(learning.learning_rate)}{bits}"


def found(num: int, num_shown: int) -> str:
    if not num:
        return "No setting has these words."
    return f"{count(num, 'setting')} found" + (
        f"; the first {num_shown} are shown." if num > num_shown else "."
    )


def rehearsing(phase: str, done: int, total: int) -> str:
    """`Rehearsal: read the captions, 3 of 10 …`"""
    place = f", {done} of {total}" if total else ""
    return f"Rehearsal: {phase[0].lower()}{phase[1:]}{place} …"
