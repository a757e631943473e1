"""The card of the file to use: what it will be, what was made of it, and whether it acts as trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import TunerError
from tuner.files.run_folder import step_of
from tuner.ui import markup, outcome, wording
from tuner.ui.desk import Desk

if TYPE_CHECKING:
    from tuner.training.sending import Sent

_SAID = (
    "modelspec.title",
    "modelspec.description",
    "modelspec.resolution",
    "modelspec.trigger_phrase",
    "modelspec.usage_hint",
    "modelspec.tags",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_base_model_version",
    "fluxtuner.base_model_precision",
    "fluxtuner.strength",
)
"""Of a header, what its user may want to know."""


def card(desk: Desk, prompt: str | None) -> str:
    """What the next export takes and where it goes; below it the last file, where there is one."""
    file = outcome.newest_export(desk.folder)
    return _next(desk, prompt) + (exported(desk, file) if file else _header(desk, None))


def _next(desk: Desk, prompt: str | None) -> str:
    found, chosen = outcome.checkpoint(desk), outcome.chosen_step(desk)
    if found is None:
        gone = chosen is not None and bool(outcome.kept_steps(desk.folder))
        return (
            markup.problem(wording.chosen_gone(chosen or 0)) if gone else markup.quiet(wording.NO_CHECKPOINT)
        )
    step = step_of(found)
    pairs = [
        ("Checkpoint", f"step {step}, {'chosen' if chosen is not None else 'the newest'}"),
        ("Strength", f"{outcome.strength(desk):g}"),
        ("Trigger word", desk.view.trigger or "–"),
        ("Goes to", outcome.target(desk) or wording.OWN_FOLDER),
    ]
    cover = next((one for one in desk.view.samples if (one.step, one.name) == (step, prompt)), None)
    shown = markup.picture(Path(cover.path), cover.prompt) if cover else ""
    return f'<div class="next">{shown}{markup.facts(pairs)}</div>'


def exported(desk: Desk, file: Path) -> str:
    """A finished file: where it lies, what to type, and, once it was sent, what came of that."""
    sent = desk.sent if desk.sent is not None and desk.sent.report.path == file else None
    pairs = [("File", file.name), ("Size", f"{file.stat().st_size / 1e6:.1f} MB")]
    if desk.view.trigger:
        pairs.append(("Trigger word", desk.view.trigger))
    place, lines = file, [wording.WHERE_TO_PUT]
    if sent is not None:
        if sent.lora and sent.install:
            pairs.append(("Sent to", sent.install.title))
            place, lines = sent.lora, [wording.NEXT_STEPS] if sent.install.root else []
        lines = [sent.report.verdict.sentence, *lines, *sent.notes]
    path = f'<p class="path"><code>{markup.text(place.resolve())}</code></p>'
    return (
        f'<div class="file" role="status"><p class="what">{wording.EXPORTED}</p>{markup.facts(pairs)}{path}'
        f"{''.join(map(markup.quiet, lines))}{_drawn_there(sent)}{_drawn_with(desk, file)}</div>"
        f"{_header(desk, file)}"
    )


def _drawn_there(sent: Sent | None) -> str:
    """Our sample and what ComfyUI made of the same words."""
    if sent is None or sent.drawn is None:
        return ""
    return _pair((sent.picture, wording.OURS), (sent.drawn, wording.THEIRS))


def _drawn_with(desk: Desk, file: Path) -> str:
    """What training drew, and what the file draws."""
    made = desk.compared
    if made is None or made.file != file:
        return ""
    pair = _pair((made.ours, wording.BY_TRAINING), (made.theirs, wording.BY_FILE))
    return pair + markup.sentence(made.sentence)


def _pair(*pictures: tuple[Path | None, str]) -> str:
    shown = (
        f"<figure>{markup.picture(path, words)}<figcaption>{words}</figcaption></figure>"
        for path, words in pictures
        if path
    )
    return f'<div class="pair">{"".join(shown)}</div>'


def _header(desk: Desk, file: Path | None) -> str:
    """What other programs will read in the file."""
    try:
        told = outcome.header(desk, file)
    except TunerError as error:
        return markup.problem(error)
    rows = [(key.partition(".")[2] or key, told[key]) for key in _SAID if told.get(key)]
    if not rows:
        return ""
    return f"<details><summary>{wording.HEADER}</summary>{markup.facts(rows)}</details>"
