"""Captions in files of their own: read, written, changed many at a time; each action is one undo step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tuner.dataset import captions
from tuner.dataset.captions import caption_file, with_trigger
from tuner.dataset.scan import Scanned
from tuner.dataset.undo import Step
from tuner.errors import Advice, TunerError


def text_of(picture: Path) -> str:
    """The text of its caption file, whatever encoding it has; empty where there is none.

    Raises CaptionProblem where it cannot be read.
    """
    path = caption_file(picture)
    return captions.read(path)[0] if path.exists() else ""


def editable(scanned: Iterable[Scanned]) -> tuple[Path, ...]:
    """The pictures whose captions stand in files of their own, also where these are missing.

    Raises TunerError where no dataset takes its captions from such files.
    """
    scanned = list(scanned)
    own = [one for one in scanned if one.rules.captions.strategy == "textfile"]
    if not own:
        change = {f"datasets.{one.rules.settings.id}.caption_strategy": "textfile" for one in scanned}
        raise TunerError(
            "The recipe does not take its captions from text files, so there is none to change.",
            Advice("Let the text file beside each picture be its caption.", change),
        )
    found = [picture.path for one in own for picture in one.pictures]
    found += [left.path for one in own for left in one.left_out if left.kind == "caption"]
    return tuple(dict.fromkeys(found))


def write(step: Step, picture: Path, text: str) -> bool:
    """As UTF-8 with one line end; False where it says so already."""
    return step.write(caption_file(picture), f"{text.strip()}\n")


def empty(pictures: Iterable[Path]) -> list[Path]:
    """Those that have no caption, one for each caption file."""
    firsts = {caption_file(one): one for one in reversed(list(pictures))}
    return [one for one in reversed(list(firsts.values())) if not text_of(one).strip()]


def from_name(picture: Path, trigger: str = "") -> str:
    """Its name as words, behind the trigger word."""
    words = " ".join(picture.stem.replace("_", " ").split())
    return with_trigger(trigger, words) if trigger else words


def add_trigger(step: Step, pictures: Iterable[Path], trigger: str, one_per_file: bool = False) -> int:
    """Puts the trigger word in front of captions that do not hold it; with `one_per_file` a file is one
    caption, else each of its lines. -> how many files were changed. Files without a caption stay so.
    """

    def edited(text: str) -> str:
        lines = [text] if one_per_file else text.split("\n")
        return "\n".join(with_trigger(trigger, line) if line.strip() else line for line in lines)

    return _each(step, pictures, edited)


def replace(step: Step, pictures: Iterable[Path], find: str, by: str) -> int:
    """Plain text, in all captions. -> how many files were changed"""
    if not find:
        raise TunerError("There is nothing to find: say which words are to be replaced.")
    return _each(step, pictures, lambda text: text.replace(find, by))


def _each(step: Step, pictures: Iterable[Path], edited: Callable[[str], str]) -> int:
    files = {caption_file(one): one for one in pictures}
    texts = {one: text.strip() for one in files.values() if (text := text_of(one)).strip()}
    changed = {one: new for one, text in texts.items() if (new := edited(text)) != text}
    return sum(write(step, one, text) for one, text in changed.items())
