"""What a recipe comes to, in one sentence with the user's own numbers, or why it cannot start."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import TunerError
from tuner.machine import Reading
from tuner.plan.phases import Plan
from tuner.plan.rehearsal import Measured
from tuner.settings.run import RunSettings
from tuner.ui import dials, markup, rehearsing, wording
from tuner.ui import recipe_words as words
from tuner.ui.desk import Desk
from tuner.ui.looking import StillLooking


def sentence(desk: Desk) -> str:
    """Pictures, passes, steps, time, memory and files, with the notes of the plan; or the problem."""
    try:
        plan = desk.draft.plan()
    except StillLooking as error:
        return markup.sentence(error)
    except TunerError as error:
        return markup.quiet(words.NO_PICTURES) if _without_pictures(desk) else markup.problem(error)
    seen = rehearsing.figures(desk)
    said = words.sentence(
        len(plan.index.pictures),
        plan.num_steps,
        dials.batch(plan.settings),
        _time(desk, plan, seen),
        peak(plan, desk.computer, seen),
        (num_files(plan.settings, plan.num_steps), desk.draft.file_mb()),
    )
    notes = "".join(f"<li>{markup.text(note)}</li>" for note in plan.notes)
    onward = f" {wording.goes_on(plan.first_step)}" if plan.first_step else ""
    return markup.sentence(f"{said}.{onward}") + (f"<ul>{notes}</ul>" if notes else "")


def _without_pictures(desk: Desk) -> bool:
    """Nobody has chosen any yet: the preset only names a place for them."""
    first, meant = desk.draft.pictures_folder, desk.draft.preset_settings.active_datasets[0]
    return first == meant.instance_data_dir and not Path(first).is_dir()


def _time(desk: Desk, plan: Plan, seen: Measured | None) -> tuple[float, str] | None:
    """Seconds, and how they are known; None where nobody knows."""
    if seen is not None:
        return rehearsing.seconds(plan, seen), words.AS_REHEARSED
    seconds = desk.seconds(plan.num_steps - plan.first_step)
    return None if seconds is None else (seconds, words.AS_EARLIER)


def peak(plan: Plan, computer: Reading, seen: Measured | None) -> tuple[float, float, str, str]:
    """The most that a phase takes, and all that there is, in GB: of the card, or of the computer where there
    is none; how it is known.
    """
    if seen is not None and seen.peak_vram_gb and computer.vram_total_gb:
        return seen.peak_vram_gb, computer.vram_total_gb, "VRAM", words.REHEARSED
    if seen is not None and seen.peak_ram_gb and not computer.vram_total_gb:
        return seen.peak_ram_gb, computer.ram_total_gb, "RAM", words.REHEARSED
    if computer.vram_total_gb is None:
        most = max(plan.phases, key=lambda phase: phase.ram_gb)
        return most.ram_gb, computer.ram_total_gb, "RAM", most.whence
    most = max(plan.phases, key=lambda phase: phase.vram_gb)
    return most.vram_gb, computer.vram_total_gb, "VRAM", most.whence


def num_files(settings: RunSettings, num_steps: int) -> int:
    """The checkpoints that are there in the end, each of which can become a LoRA's file."""
    saving = settings.saving
    every = saving.checkpoint_step_interval or num_steps
    made = -(-num_steps // every)
    return min(made, saving.checkpoints_total_limit or made)
