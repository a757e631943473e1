"""The captions of a picture: one function for encoding and drawing, so that what is drawn is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from charset_normalizer import from_bytes

from tuner.dataset.caption_edits import Filter, Shuffle, filtered, shuffled
from tuner.dataset.tables import Table, look_up
from tuner.errors import TunerError

WESTERN = "cp1252"
ENCODINGS = ("utf_16", WESTERN, "cp1251", "cp932", "gb18030", "big5", "cp949")
"""What a caption file may be in that is not UTF-8: what Windows has written over the years."""


class CaptionProblem(TunerError):
    """The message is one sentence that fits behind the picture's name and names the caption file."""

    exit_code = 2


@dataclass(frozen=True)
class CaptionRules:
    """How one dataset gets its captions; with `one_per_file` line breaks stay inside a caption. `table` is
    where `parquet` and `csv` find them, `folder` where the names in it begin.
    """

    strategy: str
    instance_prompts: tuple[str, ...] = ()
    prepend: bool = False
    only_instance_prompt: bool = False
    one_per_file: bool = False
    filters: tuple[Filter, ...] = ()
    shuffle: Shuffle | None = None
    table: Table = field(default_factory=dict)
    folder: Path = Path()


@dataclass(frozen=True)
class Captions:
    """At least one, none of them empty; `remarks` are sentences on what is odd about them."""

    texts: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def captions_of(picture: Path, rules: CaptionRules) -> Captions:
    """Every caption that may be drawn; raises CaptionProblem."""
    if rules.only_instance_prompt:
        return _instance_prompts(picture, rules)
    found = STRATEGIES[rules.strategy](picture, rules)
    texts = _unique(filtered(text, rules.filters) for text in found.texts)
    if not texts:
        raise CaptionProblem("Nothing of its caption is left after caption_filter_list.")
    if rules.shuffle:
        texts = _unique(variant for text in texts for variant in shuffled(text, rules.shuffle))
    if rules.prepend:
        prompts = _instance_prompts(picture, rules).texts
        texts = _unique(with_trigger(prompt, text) for text in texts for prompt in prompts)
    return Captions(texts, found.remarks)


def with_trigger(prompt: str, caption: str) -> str:
    """The prompt in front, once: a caption that says it already stays as it is."""
    return caption if says(caption, prompt) else f"{prompt} {caption}"


def says(caption: str, prompt: str) -> bool:
    """As words of their own, in whatever case."""
    return bool(re.search(rf"(?<!\w){re.escape(prompt)}(?!\w)", caption, re.IGNORECASE))


def caption_file(picture: Path) -> Path:
    """Where `textfile` looks: the same name with .txt."""
    return picture.with_suffix(".txt")


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))


def _instance_prompts(_picture: Path, rules: CaptionRules) -> Captions:
    prompts = _unique(map(str.strip, rules.instance_prompts))
    if not prompts:
        raise CaptionProblem("Its dataset takes captions from instance_prompt, which is empty.")
    return Captions(prompts)


def _file_name(picture: Path, _rules: CaptionRules) -> Captions:
    caption = picture.stem.replace("_", " ").strip()
    if not caption:
        raise CaptionProblem(f"Its name '{picture.name}' holds no words for a caption.")
    return Captions((caption,))


def _text_file(picture: Path, rules: CaptionRules) -> Captions:
    path = caption_file(picture)
    text, encoding = read(path)
    captions = _unique(map(str.strip, [text] if rules.one_per_file else text.split("\n")))
    if not captions:
        raise CaptionProblem(f"Its caption file '{path}' is empty.")
    remark = f"Its caption file '{path}' is not UTF-8 and was read as {encoding}; save it as UTF-8."
    return Captions(captions, (remark,) if encoding else ())


def _table(picture: Path, rules: CaptionRules) -> Captions:
    captions = look_up(rules.table, picture.relative_to(rules.folder).as_posix())
    if captions is None:
        raise CaptionProblem(f"The table of captions has no row for '{picture.name}'.")
    if not captions:
        raise CaptionProblem(f"The table of captions has an empty caption for '{picture.name}'.")
    return Captions(captions)


def read(path: Path) -> tuple[str, str]:
    """(text with line ends as \\n, its encoding where it is not UTF-8 with or without a byte order mark);
    raises CaptionProblem.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CaptionProblem(f"It has no caption file '{path}'.") from error
    except OSError as error:
        raise CaptionProblem(f"Its caption file '{path}' cannot be read ({error.strerror}).") from error
    try:
        text, encoding = data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        encoding = _guessed(data)
        if not encoding:
            line = data[: error.start].count(b"\n") + 1
            raise CaptionProblem(
                f"Its caption file '{path}' is not UTF-8 text (line {line}); save it as UTF-8."
            ) from error
        text = data.decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _guessed(data: bytes) -> str:
    """Western text has few letters beyond ASCII, too few for a guess by their pattern; "" for no idea."""
    western = sum(byte > 127 for byte in data) < len(data) / 2 and b"\0" not in data
    best = from_bytes(data, cp_isolation=[WESTERN] if western else list(ENCODINGS)).best()
    return best.encoding if best else ""


STRATEGIES: Mapping[str, Callable[[Path, CaptionRules], Captions]] = {
    "textfile": _text_file,
    "filename": _file_name,
    "instanceprompt": _instance_prompts,
    "parquet": _table,
    "csv": _table,
}
"""Where captions come from: each gives those that it finds, before any trigger word is put in front."""
