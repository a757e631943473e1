"""Findings about the computer as a table: each with its state, one sentence, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable

from tuner.machine import Finding
from tuner.ui import markup, wording


def table(findings: Iterable[Finding], title: str) -> str:
    rows = (
        (
            f'<span class="state {one.state}">{wording.FINDINGS[one.state]}</span>',
            markup.text(one.title),
            markup.text(one.sentence) + _mending(one),
        )
        for one in findings
    )
    return markup.table(title, ("State", "What", "Finding"), rows)


def _mending(one: Finding) -> str:
    if not one.mend:
        return ""
    command = f" <code>{markup.text(one.command)}</code> {markup.copied(one.command)}" if one.command else ""
    return f"<br><em>{markup.text(one.mend)}</em>{command}"
