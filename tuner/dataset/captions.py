"""The captions of a picture: one function for encoding and drawing, so that what is drawn is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import TunerError


class CaptionProblem(TunerError):
    """The message is one sentence that fits behind the picture's name and names the caption file."""

    exit_code = 2


@dataclass(frozen=True)
class CaptionRules:
    """How one dataset gets its captions; with `one_per_file` line breaks stay inside a caption."""

    strategy: str
    instance_prompts: tuple[str, ...] = ()
    prepend: bool = False
    only_instance_prompt: bool = False
    one_per_file: bool = False


def captions_of(picture: Path, rules: CaptionRules) -> tuple[str, ...]:
    """Every caption that may be drawn, at least one, none of them empty; raises CaptionProblem."""
    if rules.only_instance_prompt:
        return _instance_prompts(picture, rules)
    captions = STRATEGIES[rules.strategy](picture, rules)
    if not rules.prepend:
        return captions
    return tuple(
        _with_trigger(prompt, caption) for caption in captions for prompt in _instance_prompts(picture, rules)
    )


def caption_file(picture: Path) -> Path:
    """Where `textfile` looks: the same name with .txt."""
    return picture.with_suffix(".txt")


def _instance_prompts(_picture: Path, rules: CaptionRules) -> tuple[str, ...]:
    prompts = tuple(filter(None, map(str.strip, rules.instance_prompts)))
    if not prompts:
        raise CaptionProblem("Its dataset takes captions from instance_prompt, which is empty.")
    return prompts


def _file_name(picture: Path, _rules: CaptionRules) -> tuple[str, ...]:
    caption = picture.stem.replace("_", " ").strip()
    if not caption:
        raise CaptionProblem(f"Its name '{picture.name}' holds no words for a caption.")
    return (caption,)


def _text_file(picture: Path, rules: CaptionRules) -> tuple[str, ...]:
    text = _read(caption_file(picture))
    lines = [text] if rules.one_per_file else text.split("\n")
    captions = tuple(filter(None, map(str.strip, lines)))
    if not captions:
        raise CaptionProblem(f"Its caption file '{caption_file(picture)}' is empty.")
    return captions


def _read(path: Path) -> str:
    """UTF-8 with or without a byte order mark, line ends as \\n."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CaptionProblem(f"It has no caption file '{path}'.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CaptionProblem(
            f"Its caption file '{path}' is not UTF-8 text (line {line}); save it as UTF-8."
        ) from error
    except OSError as error:
        raise CaptionProblem(f"Its caption file '{path}' cannot be read ({error.strerror}).") from error


def _with_trigger(prompt: str, caption: str) -> str:
    """The prompt in front, once: a caption that says it already stays as it is."""
    if re.search(rf"(?<!\w){re.escape(prompt)}(?!\w)", caption, re.IGNORECASE):
        return caption
    return f"{prompt} {caption}"


STRATEGIES: Mapping[str, Callable[[Path, CaptionRules], tuple[str, ...]]] = {
    "textfile": _text_file,
    "filename": _file_name,
    "instanceprompt": _instance_prompts,
}
"""Where captions come from: each gives those that it finds, before any trigger word is put in front."""
