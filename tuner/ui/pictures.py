"""What the page does with pictures and their captions: shown, taken in, mended, changed, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
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
from tuner.ui.thumbnails import Shown

FILES, TRIGGER_ALONE = "textfile", "instanceprompt"
SHOWN_THOUGH_LEFT_OUT = ("caption", "chosen")
"""The user can bring these in with a click or some words."""


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


def are_to_come(desk: Desk) -> bool:
    """Whether the recipe still has the folder that its preset proposes, or one that was begun for it, and
    there is nothing in it.
    """
    folder, proposed = Path(desk.draft.pictures_folder), desk.draft.preset_settings.active_datasets[0]
    if _is_dropped(desk, folder):
        return not any(folder.rglob("*.*"))
    return str(folder) == proposed.instance_data_dir and not folder.is_dir()


def picked(desk: Desk, path: str) -> Shown:
    """The picture of the gallery that the page means; what it sends is not trusted."""
    for one in shown(desk):
        if str(one.path) == path:
            return one
    raise TunerError("That picture is no longer there.", Advice("Press Look again."))


def captioned_by(desk: Desk, one: Shown) -> str:
    """What its caption is taken from: `textfile`, `instanceprompt` ..."""
    return _scanned(desk, one.dataset).rules.captions.strategy


def save_caption(desk: Desk, one: Shown, text: str) -> bool:
    """False where it says so already; an emptied caption leaves the picture out. Where all pictures share the
    trigger word, each of them gets a file of its own.
    """
    if captioned_by(desk, one) == TRIGGER_ALONE:
        return text.strip() != one.caption and _write_all(desk, {one.path: text})
    caption_files.editable([_scanned(desk, one.dataset)])
    if text.strip() == caption_files.text_of(one.path).strip():
        return False
    caption_files.write(undo.begin(desk.undo_folder, f"caption of {one.path.name}"), one.path, text)
    desk.draft.look_again()
    return True


def _write_all(desk: Desk, texts: Mapping[Path, str]) -> bool:
    """A caption file beside each picture: these texts, and what the others are called so far."""
    step = undo.begin(desk.undo_folder, "captions of their own")
    for one in shown(desk):
        caption_files.write(step, one.path, texts.get(one.path, one.caption))
    desk.draft.caption_by(FILES)
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
    _caption_as_there_is(desk)
    desk.draft.look_again()
    return undone


def take_in(desk: Desk, files: Sequence[Path]) -> Taken:
    """Into the folder of dropped pictures that the recipe uses, else into a new one, which it then uses; that
    and the run are called after a ZIP that is dropped alone.
    """
    folder = Path(desk.draft.pictures_folder)
    is_new = not _is_dropped(desk, folder) or are_to_come(desk)
    if is_new:
        if len(files) == 1 and files[0].suffix.lower() == ".zip":
            desk.draft.suggest_name(files[0].stem)
        folder = _fresh(desk)
    taken = arrivals.take(files, folder)
    if not taken.pictures and not taken.captions:
        return taken
    if is_new:
        desk.draft.use_folder(str(folder))
    if taken.captions or is_new:
        _caption_as_there_is(desk)
    desk.draft.look_again()
    return taken


def use_folder(desk: Desk, folder: str) -> None:
    """Learn from a folder in its place."""
    desk.draft.use_folder(folder)
    if Path(folder).is_dir():
        desk.draft.suggest_name(Path(folder).name)
        _caption_as_there_is(desk)


def begin_next(desk: Desk) -> None:
    """Another LoRA by the same recipe, of pictures that are to come."""
    desk.draft.begin_next()
    desk.draft.use_folder(str(_fresh(desk)))


def _fresh(desk: Desk) -> Path:
    """A folder that is not there yet, named after the run."""
    name = desk.draft.name
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(path for each in names if not (path := desk.inbox / each).exists())


def _is_dropped(desk: Desk, folder: Path) -> bool:
    return folder.absolute().parent == desk.inbox.absolute()


def _caption_as_there_is(desk: Desk) -> None:
    """Pictures without any caption file are called by the trigger word alone."""
    if desk.draft.settings.active_datasets[0].caption_strategy in (FILES, TRIGGER_ALONE):
        has_files = any(Path(desk.draft.pictures_folder).rglob("*.txt"))
        desk.draft.caption_by(FILES if has_files else TRIGGER_ALONE)


def caption(desk: Desk, request: CaptionRequest, every: bool) -> None:
    """Lets a model write captions in the background."""
    if desk.draft.settings.active_datasets[0].caption_strategy == TRIGGER_ALONE:
        desk.draft.caption_by(FILES)
    pictures = caption_files.editable(desk.draft.scanned())
    desk.captioning.start(desk.session.caption(pictures, request, every))


def _scanned(desk: Desk, dataset: str) -> Scanned:
    return next(one for one in desk.draft.scanned() if one.rules.settings.id == dataset)
