"""Sentences of the page that are not a setting's help, and how numbers are said in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tuner.view import RunView, Sample

TITLE = "FluxTuner"
TABS = {
    "images": "Images",
    "recipe": "Recipe",
    "train": "Train",
    "results": "Results",
    "runs": "Runs",
    "setup": "Setup",
}

NO_CARD = "no NVIDIA card"
ANOTHER, START = "New LoRA", "Start training"
NO_RUN = "No run yet. Choose pictures and a recipe, then press Start training."
NO_SAMPLES = "Sample pictures appear here, the untrained model first."
NO_CHECKPOINT = "There is nothing to export yet: the run has not saved a checkpoint."
NO_RUNS = "No runs yet. Every run that you start is kept here, with its settings, samples and files."
NO_LOG = "The log of the run appears here."
NOT_IN_LOG = "Nothing of that stands in the log."
REPORT_HELP = (
    "It is in the clipboard. Names, folders and tokens of yours were left out; read it before you send it."
)
NOTICE = "Sound and notice at the end"
BASELINE = "Before"
BROKE_OFF = "broke off, because FluxTuner or the computer went off,"
COMPARE = "Drag the line: left is the model before training, right is your LoRA."
TRIGGER_HELP = "The made-up word that calls your subject in a prompt."
APPLIED = "The recipe is changed. Press Start training on the Recipe tab."
EXPORTED = "Your LoRA is ready."
WHERE_TO_PUT = "Put it into ComfyUI's folder models/loras, and use the trigger word in your prompt."
OPEN_EXPORT = "Train like this LoRA …"
OPENED = "This is the recipe of that LoRA, for the pictures on the Images tab."
SEND_HELP = "Leave it empty for the ComfyUI on this computer; or name its folder, or any other one."
DRAW_HELP = "A running ComfyUI draws the sample at once, to be seen beside ours."
OURS, THEIRS = "Drawn here", "Drawn by ComfyUI"
STRENGTH_HELP = "How strongly the LoRA acts in the workflow that goes with it."
SEND = "Send to ComfyUI"
THIS_ONE, NOT_THIS_ONE = "This one", "Not this one"
CHOSEN, NOT_KEPT = "chosen", "no checkpoint"
CONTACT = "All samples: press one to look at it"
MEAN_HELP = "The mean of the last steps instead of the very last one: often calmer."
BY_TRAINING, BY_FILE = "Drawn by the training", "Drawn with the file"
HEADER = "What the file says of itself"
TRY_HELP = "Any words, drawn with the chosen checkpoint and strength, when no run is going."
TRIED = "Drawn with this LoRA."
STRIP_HELP = "One sample, at strengths from 0.4 to 1.2. Choose the best with the slider."
NEXT_STEPS = (
    "In ComfyUI press R, then open the workflow of this name in the sidebar, or drop the picture beside the "
    "LoRA on the page."
)
OWN_FOLDER = "the folder of this run, as no ComfyUI was found"
NO_RESULTS = "Nothing to compare yet. Start a run, or open an earlier one on the Runs tab."
FOLDER_HELP = "A folder on this computer, used where it is; nothing but captions is ever changed in it."
LOOKING = "The pictures are being looked at."
NO_PICTURES = "No pictures yet: drop some, or name their folder. Twenty good ones are enough for a person."
PICK = "Choose a picture to see and change its caption."
CAPTION_HELP = "What is to be seen, as you would ask for it. Each line is a caption of its own."
CAPTION_SOURCES = {
    "textfile": "",
    "instanceprompt": "All pictures are called by the trigger word alone. Type a caption, and each picture "
    "gets a text file of its own.",
}
"""What is said of captions that can be typed, by where they come from."""
NO_CAPTION_FILES = "Its caption does not come from a text file, so it cannot be changed here."
CAPTIONER_HELP = "A folder with its files, or this name to download it (0.5 GB)."
INSTRUCTION_HELP = "Or in your own words; what it was not taught it may answer poorly."
DROP = "Drop pictures, captions or a ZIP here"
ALL_CAPTIONED = "Every picture has a caption already."
STOPPING = "Stopping: the step is finished and a checkpoint is saved."
SAMPLING = "A sample is made after this step."
SAVING = "A checkpoint is saved after this step."
LOGGED = "The details are in log.txt in the run's folder."

KEPT_WEIGHTS = (
    "A quantized FLUX.1 is kept, so that the next start reads it instead of making it again. Cleared, it is "
    "made at the next start."
)
NOT_STARTED = "Not started"
QUEUE_HELD = "The queue waits for a word from you."
QUEUE_GOES = "One run after the other; a run that fails does not stop the rest."
MORE_HELP = "Steps in all, those already made included."
DELETE_HELP = "Type the name of the run. Its folder goes with all samples, checkpoints and exports in it."

SOURCES = {
    "found": "FLUX.1 files that are on this computer",
    "download": "FLUX.1, downloaded from Hugging Face (about 34 GB)",
    "practice": "the practice model (tiny, comes with FluxTuner, needs no card)",
}
"""Where a model to train on comes from."""
LOOK_HELP = "ComfyUI, Forge, Downloads and the Hugging Face cache are looked through in any case."
NOTHING_FOUND = "No FLUX.1 model was found in the usual places. Name its folder here, or download one."
TOKEN_HELP = "From huggingface.co/settings/tokens, for reading. Only the Hugging Face library keeps it."
LICENCE = "First accept the licence, logged in there, once:"
DOWNLOADS = {
    "running": "Downloading:",
    "stopped": "Paused; press Download to go on:",
    "failed": "The download stopped:",
    "done": "Everything is here:",
}
COMFYUI_NONE = (
    "No ComfyUI was found in the usual places. Name its folder here, or download your LoRA on the Results "
    "tab."
)
NO_COMFYUI = "none found; training works without"
COMFYUI_FOUND = "One click on the Results tab sends a LoRA there."
COMFYUI_HELP = (
    "Where LoRAs are put instead: a ComfyUI's folder, or any other one. Empty: the first one found."
)
AUTOMATIC = "Send every finished LoRA there by itself"
AUTOMATIC_HELP = "As soon as a run has ended; nothing that is there is overwritten."
NOT_CARRIED = "What was not carried over, and why:"
STEPS = ("Your computer", "Base model", "ComfyUI")
"""Of Setup."""
TO_PICTURES = "Go to your pictures"
WELCOME = "Welcome. Three steps, and most of them may be done already; then come your pictures."

IDLE_CARD = (
    "The card has nothing to do, though steps should be made. Is the disk with the pictures very slow, or "
    "does another program keep the processor busy?"
)

STATES = {
    "idle": "No run",
    "running": "Running",
    "paused": "Paused",
    "stopped": "Stopped",
    "failed": "Failed",
    "finished": "Finished",
}

FITS = {"fits": ("ok", "fits"), "tight": ("warn", "tight"), "no": ("bad", "will not fit")}
"""How a preset suits this computer: the look, and the words."""

FINDINGS = {"ok": "good", "warn": "note", "bad": "mend"}


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `1 h 50 min`."""
    if seconds < 99.5:
        return f"{max(round(seconds), 0)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, word: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def headline(view: RunView) -> str:
    """What happens now, in one sentence."""
    if view.state == "idle":
        return NO_RUN
    name = f"“{view.run}”"
    if view.state == "running":
        return f"{name}: {_doing(view)}"
    at = f"at step {view.step} of {view.num_steps}"
    return {
        "paused": f"{name} is paused {at}; the card's memory is free for other programs.",
        "stopped": f"{name} {BROKE_OFF if view.broke_off else 'stopped'} {at}.",
        "failed": f"{name} failed {at}.",
        "finished": f"{name} is finished: {count(view.step, 'step')}. See the Results tab.",
    }[view.state]


def continues(step: int) -> str:
    """What a press of Continue does."""
    return (
        f"It goes on after step {step}, where it was saved." if step else "It begins anew: nothing was saved."
    )


def _doing(view: RunView) -> str:
    current = next((p for p in view.phases if p.name == view.phase), None)
    if current is None:
        return "getting ready."
    if current.name == "train":
        return f"step {view.step} of {view.num_steps}{left(view)}."
    progress = f" ({current.done} of {current.total})" if current.total else ""
    return f"{current.title[0].lower()}{current.title[1:]}{progress}."


def silent(seconds: float, usual: float | None) -> str:
    """What the watchdog says of a run that says nothing."""
    known = f"; a step usually takes {number(usual)} s" if usual is not None else ""
    return (
        f"No sign of life for {duration(seconds)}{known}. If it stays so, close other programs that use the "
        "card, stop the run and continue it; the log below has its last words."
    )


def spilled(pace: float, best: float, over_gb: float) -> str:
    """`over_gb` is what was reserved beyond the card's memory, where that is known."""
    what = f"{over_gb:.1f} GB have" if over_gb >= 0.1 else "A part has"
    return (
        f"Steps take {number(pace)} s instead of {number(best)} s: the card's memory is full. {what} spilled "
        "into shared memory, which is slow. Close browser tabs with video and other programs that use the "
        "card, or choose the preset for the next smaller card."
    )


def weak(power: float, limit: float) -> str:
    return (
        f"The card says it is busy, but takes only {power:.0f} of {limit:.0f} W: it waits for memory instead "
        "of computing. Close other programs that use the card, or choose the preset of the next smaller one."
    )


def slowed(cause: str, degrees: float | None) -> str:
    hot = f" ({degrees:.0f} °C)" if degrees is not None else ""
    return (
        f"The card slows itself down because of {cause}{hot}. Give it air and clean its fans; the run goes "
        "on, only slower."
    )


def clock_fell(before: float, after: float) -> str:
    return (
        f"The card's clock has fallen from {before:.0f} to {after:.0f} MHz. Is a power saver on, or is the "
        "laptop on battery?"
    )


def memory_runs_out(process_gb: float, paged_gb: float) -> str:
    paged = f", and {paged_gb:.1f} GB went into the page file meanwhile" if paged_gb >= 0.1 else ""
    return (
        f"This computer's memory is almost full{paged}; FluxTuner has {process_gb:.1f} GB of it. Close other "
        "programs, or the system may end the run."
    )


def sign_of_life(seconds: float) -> str:
    return f"Last sign of life {duration(seconds)} ago."


def left(view: RunView) -> str:
    return "" if not view.eta_seconds else f", about {duration(view.eta_seconds)} left"


def number(value: float | None) -> str:
    """Four digits, as short as possible; an en dash where nothing is known."""
    return "–" if value is None else f"{value:.4g}"


def needs(vram_gb: float, ram_gb: float) -> str:
    """`about 15.7 GB VRAM and 2.5 GB RAM`."""
    return "about " + " and ".join(
        [f"{round(vram_gb, 1):g} GB VRAM"] * bool(vram_gb) + [f"{round(ram_gb, 1):g} GB RAM"]
    )


def for_card(name: str | None) -> str:
    """Whose preset it is: that of the card found, or of a computer without one."""
    return f"for your {name}" if name else "for this computer"


def file_size(megabytes: float) -> str:
    """`file of about 0.76 MB`, `file of about 105 MB`."""
    return f"file of about {megabytes:.2g} MB" if megabytes < 10 else f"file of about {megabytes:.0f} MB"


def newest(steps: Sequence[str]) -> str:
    return f"newest ({steps[0]})" if steps else "newest"


def chosen_gone(step: int) -> str:
    return f"The checkpoint of step {step}, which you chose, is gone. Choose another, or take the mark off."


def put_aside(folder: Path) -> str:
    return f"The recipe in progress could not be read; it was moved to '{folder}', and a new one was begun."


def queue_put_aside(file: Path) -> str:
    return f"The list of waiting runs could not be read; it was moved to '{file}', and a new one was begun."


def still_missing(repository: str, parts: Sequence[str]) -> str:
    return f"Not here yet: {', '.join(parts)} of '{repository}'. Download them here, or a run will."


def opened(program: str, name: str) -> str:
    return f"A recipe of {program} is open, as '{name}'."


def waits(run: str) -> str:
    return f"'{run}' waits in the queue on the Runs tab."


def goes_on(step: int) -> str:
    return f"A run of this name is there: it goes on after step {step}."


def images_sentence(num_pictures: int, num_captioned: int, num_buckets: int, num_left_out: int) -> str:
    found = f"{count(num_pictures, 'image')}, {num_captioned} captioned"
    return f"{found}, {count(num_buckets, 'bucket')}, {num_left_out} left out"


def looked_at(done: int, total: int) -> str:
    return f"{done:,} of {count(total, 'picture')} looked at."


def first_shown(shown: int, total: int) -> str:
    return f"The first {shown:,} of {total:,} are shown; all of them are learned from."


def captioning(going: bool, done: int, total: int, num_ended: int) -> str:
    if going:
        return f"{done} of {count(total, 'caption')} written." if done else "Loading the model …"
    if not num_ended:
        return ""
    return f"{done} of {count(total, 'caption')} written." if total else ALL_CAPTIONED


def taken(num_pictures: int, num_captions: int, left_out: Sequence[tuple[str, str]]) -> str:
    """What came in of the dropped files, and the first three of those that did not."""
    said = f"{count(num_pictures, 'picture')} and {count(num_captions, 'caption')} taken in"
    if not left_out:
        return f"{said}."
    examples = " ".join(f"{name}: {reason}" for name, reason in left_out[:3])
    return f"{said}, {len(left_out)} left out. {examples}"


def undone(title: str, num_kept: int) -> str:
    if not num_kept:
        return f"Taken back: {title}."
    return f"Taken back: {title}; {count(num_kept, 'file')} changed by another program stayed as they are."


def changed(num_files: int) -> str:
    return f"{count(num_files, 'caption file')} changed."


def titles(samples: Sequence[Sample]) -> dict[str, str]:
    """What is written over the samples of each name, in their order: the prompt, with its name where several
    pictures have that prompt, or where it is empty.
    """
    prompts = {one.name: one.prompt for one in samples}
    shared = Counter(prompts.values())
    return {
        name: name if not prompt else f"{name}: {prompt}" if shared[prompt] > 1 else prompt
        for name, prompt in prompts.items()
    }
