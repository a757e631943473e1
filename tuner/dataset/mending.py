"""What one click does about a finding of the doctor; never to a picture, and always to be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.dataset import caption_files, chosen, undo
from tuner.dataset.doctor import Finding
from tuner.dataset.rules import Rules
from tuner.dataset.undo import Step


@dataclass(frozen=True)
class Fix:
    """`label` stands on the button."""

    label: str
    do: Callable[[Step, Path, Rules], object]


def mend(findings: Sequence[Finding], rules: Mapping[str, Rules], history: Path) -> None:
    """Does what the fix of these findings says, which is the same for all, as one step of `history`; `rules`
    by the name of the dataset.
    """
    fix = FIXES[findings[0].fix]
    which = Path(findings[0].file).name if len(findings) == 1 else f"{len(findings)} pictures"
    step = undo.begin(history, f"{fix.label}: {which}")
    for one in findings:
        fix.do(step, Path(one.file), rules[one.dataset])


def _leave_out(step: Step, picture: Path, rules: Rules) -> None:
    unwanted = {*chosen.left_out(rules.folder), picture}
    step.write(rules.folder / chosen.LIST, chosen.text(rules.folder, unwanted))


def _take_back(step: Step, picture: Path, rules: Rules) -> None:
    unwanted = chosen.left_out(rules.folder) - {picture}
    step.write(rules.folder / chosen.LIST, chosen.text(rules.folder, unwanted))


def _add_trigger(step: Step, picture: Path, rules: Rules) -> None:
    trigger = rules.captions.instance_prompts[0]
    caption_files.add_trigger(step, [picture], trigger, rules.captions.one_per_file)


def _write_caption(step: Step, picture: Path, rules: Rules) -> None:
    trigger = next(iter(rules.captions.instance_prompts), "")
    caption_files.write(step, picture, caption_files.from_name(picture, trigger))


FIXES: Mapping[str, Fix] = {
    "leave out": Fix("Leave out", _leave_out),
    "take back": Fix("Take it back", _take_back),
    "add trigger": Fix("Add the trigger word", _add_trigger),
    "write caption": Fix("Use its name as caption", _write_caption),
}
