"""Small pieces of HTML: everything that comes from files or users goes through `text`."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import gradio as gr

ACT = """element.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-act]');
  const ask = button?.dataset.ask;
  if (button && (!ask || confirm(ask))) trigger('click', {act: button.dataset.act});
  const copy = event.target.closest('[data-copy]');
  if (!copy) return;
  await navigator.clipboard.writeText(copy.dataset.copy);
  copy.textContent = copy.dataset.done;
});"""
"""Lets a `gr.HTML` speak: a click on `<button data-act="open:x">` triggers its click event with `act`, one on
`<button data-copy="words">` copies the words.
"""

KEEP = """document.addEventListener('input', (event) => {
  const field = event.target;
  if (!field.closest('.kept')) return;
  clearTimeout(field.keeping);
  field.keeping = setTimeout(() => field.dispatchEvent(new FocusEvent('blur')), 1000);
});
document.addEventListener('focusout', (event) => clearTimeout(event.target.keeping));"""
"""Fields of the class `kept` say that they were left as soon as nothing was typed for a second, if they
were not really left before.
"""


def region(name: str, *, acts: bool = False, value: str = "", script: str | None = None) -> gr.HTML:
    """A part of the page that is filled with finished HTML; with `acts` its buttons are heard. `script` runs
    once it is there, with the part as `element`.
    """
    return gr.HTML(value, elem_id=name, js_on_load=ACT if acts else script, apply_default_css=False)


def text(value: object) -> str:
    """Escaped for content and attributes, and for the page's own template braces."""
    return html.escape(str(value)).replace("{", "&#123;").replace("$", "&#36;")


def button(act: str, label: str, kind: str = "", said: str = "", ask: str = "") -> str:
    """`said` is what a screen reader says instead of the label; `ask` is a question to answer first."""
    name = f' aria-label="{text(said)}"' if said else ""
    name += f' data-ask="{text(ask)}"' if ask else ""
    return f'<button type="button" class="act {kind}" data-act="{text(act)}"{name}>{text(label)}</button>'


def copied(words: str, label: str = "Copy command") -> str:
    """A button that puts `words` onto the clipboard."""
    return (
        f'<button type="button" class="act" data-copy="{text(words)}" data-done="Copied" '
        f'aria-label="{text(label)}: {text(words)}">{text(label)}</button>'
    )


def sentence(said: object) -> str:
    return f'<p class="sentence" role="status">{text(said)}</p>'


def problem(said: object) -> str:
    return f'<p class="sentence bad" role="alert">{text(said)}</p>'


def quiet(said: object) -> str:
    return f'<p class="quiet">{text(said)}</p>'


def bar(label: str, done: float, total: float, said: str = "") -> str:
    """A progress bar for eyes and screen readers; without a total it only says that something goes on."""
    share = min(max(done / total, 0), 1) if total else 0
    percent = round(100 * share)
    now = f'aria-valuenow="{percent}"' if total else ""
    names = f'aria-label="{text(label)}" aria-valuetext="{text(said or f"{percent} %")}"'
    return (
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" {now} {names}>'
        f'<span style="width:{100 * share:.1f}%"></span></div>'
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Short names with their values, side by side."""
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """`rows` hold finished HTML; `head` holds text. On a narrow screen it scrolls, by keyboard too."""
    top = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    name = text(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">'
        f'<table class="plain {kind}"><caption>{name}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def picture(path: Path, alt: str) -> str:
    """A picture that opens large on a click; the time in its address lets a rewritten file show anew."""
    address = file_address(path)
    shown = f'<img src="{address}" alt="{text(alt)}" loading="lazy">'
    return f'<a href="{address}" target="_blank" rel="noopener">{shown}</a>'


def file_address(path: Path) -> str:
    """Where the page finds a file; its folder must be one that gradio was told to serve."""
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return f"/gradio_api/file={quote(path.resolve().as_posix())}?t={stamp}"
