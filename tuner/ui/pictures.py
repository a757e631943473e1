"""What the page does with pictures and their captions: shown, taken in, mended, changed, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.dataset import arrivals, caption_files, mending, undo
from tuner.dataset.arrivals import Taken
from tuner.dataset.doctor import Finding
from tuner.dataset.index import LeftOut, Picture
from tuner.dataset.scan import Scanned
from tuner.dataset.undo import Undone
from tuner.errors import Advice, TunerError
from tuner.settings.request import CaptionRequest
from tuner.ui.desk import Desk

SHOWN_THOUGH_LEFT_OUT = ("caption", "chosen")
"""The user can bring these in with a click or some words."""


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery; one that is not `used` has no caption, or was left out by the user, which
    `is_chosen` says.
    """

    path: Path
    dataset: str
    content: str
    caption: str
    box: tuple[float, float, float, float] | None = None
    used: bool = True
    is_chosen: bool = False


def shown(desk: Desk) -> list[Shown]:
    """Those that are learned from, then those that could be."""
    scanned = desk.draft.scanned()
    used = [_used(one) for each in scanned for one in each.pictures]
    return used + [
        _unused(one) for each in scanned for one in each.left_out if one.kind in SHOWN_THOUGH_LEFT_OUT
    ]


def _used(one: Picture) -> Shown:
    return Shown(one.path, one.dataset, one.content, one.captions[0], one.crop_box)


def _unused(one: LeftOut) -> Shown:
    return Shown(one.path, one.dataset, one.content, "", used=False, is_chosen=one.kind == "chosen")


def picked(desk: Desk, path: str) -> Shown:
    """The picture of the gallery that the page means; what it sends is not trusted."""
    for one in shown(desk):
        if str(one.path) == path:
            return one
    raise TunerError("That picture is no longer there.", Advice("Press Look again."))


def has_caption_file(desk: Desk, one: Shown) -> bool:
    return _scanned(desk, one.dataset).rules.captions.strategy == "textfile"


def save_caption(desk: Desk, one: Shown, text: str) -> bool:
    """False where it says so already; an emptied caption leaves the picture out."""
    caption_files.editable([_scanned(desk, one.dataset)])
    if text.strip() == caption_files.text_of(one.path).strip():
        return False
    caption_files.write(undo.begin(desk.undo_folder, f"caption of {one.path.name}"), one.path, text)
    desk.draft.look_again()
    return True


def mend(desk: Desk, fix: str, file: str) -> None:
    """Carries out what the doctor proposed for a file, or without one for all."""
    found = [one for one in desk.draft.findings() if one.fix == fix and file in ("", one.file)]
    if not found:
        raise TunerError("That finding is out of date.", Advice("Press Look again."))
    _mend(desk, found if not file else found[:1])


def leave_out_or_take_back(desk: Desk, one: Shown) -> None:
    """The other of the two."""
    fix = "take back" if one.is_chosen else "leave out"
    _mend(desk, [Finding("", str(one.path), one.dataset, "", fix)])


def _mend(desk: Desk, findings: Sequence[Finding]) -> None:
    rules = {one.rules.settings.id: one.rules for one in desk.draft.scanned()}
    mending.mend(findings, rules, desk.undo_folder)
    desk.draft.look_again()


def add_trigger(desk: Desk) -> int:
    """Into every caption file of datasets that have a trigger word. -> files changed"""
    caption_files.editable(desk.draft.scanned())
    step = undo.begin(desk.undo_folder, "trigger word added")
    num_changed = 0
    for each in desk.draft.scanned():
        rules = each.rules.captions
        if rules.strategy == "textfile" and rules.instance_prompts:
            num_changed += caption_files.add_trigger(
                step, caption_files.editable([each]), rules.instance_prompts[0], rules.one_per_file
            )
    desk.draft.look_again()
    return num_changed


def replace(desk: Desk, find: str, by: str) -> int:
    """In every caption file. -> files changed"""
    pictures = caption_files.editable(desk.draft.scanned())
    step = undo.begin(desk.undo_folder, f"“{find}” replaced")
    num_changed = caption_files.replace(step, pictures, find, by)
    desk.draft.look_again()
    return num_changed


def take_back(desk: Desk) -> Undone:
    undone = undo.undo(desk.undo_folder)
    desk.draft.look_again()
    return undone


def take_in(desk: Desk, files: Sequence[Path]) -> Taken:
    """Into the folder of dropped pictures that the recipe uses, else into a new one, which it then uses."""
    folder = Path(desk.draft.pictures_folder).absolute()
    is_own = folder.parent == desk.inbox.absolute()
    if not is_own:
        names = (desk.draft.name if n == 1 else f"{desk.draft.name}-{n}" for n in range(1, 10_000))
        folder = next(path for name in names if not (path := desk.inbox / name).exists())
    taken = arrivals.take(files, folder)
    if not taken.pictures and not taken.captions:
        return taken
    if not is_own:
        desk.draft.use_folder(str(folder))
    if taken.captions:
        desk.draft.caption_by("textfile")
    desk.draft.look_again()
    return taken


def caption(desk: Desk, request: CaptionRequest, every: bool) -> None:
    """Lets a model write captions in the background."""
    pictures = caption_files.editable(desk.draft.scanned())
    desk.captioning.start(desk.session.caption(pictures, request, every))


def _scanned(desk: Desk, dataset: str) -> Scanned:
    return next(one for one in desk.draft.scanned() if one.rules.settings.id == dataset)
