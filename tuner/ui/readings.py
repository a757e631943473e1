"""The gauges of this computer and the status strip of the run: the sidebar, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.machine import Reading
from tuner.ui import markup, watchdog, wording
from tuner.view import RunView

SWITCH = (
    f'<label><input type="checkbox"> {wording.NOTICE}</label> '
    '<button type="button" class="act" hidden>Allow notices</button>'
)
"""Both work in the browser alone: notice.js."""


def gauges(reading: Reading) -> str:
    """Card, VRAM, RAM and disk; what this computer lacks is said, not drawn as an empty bar."""
    rows = [f'<p class="card-name">{markup.text(reading.gpu_name or wording.NO_CARD)}</p>']
    if reading.vram_used_gb is not None and reading.vram_total_gb is not None:
        rows.append(_gauge("VRAM", reading.vram_used_gb, reading.vram_total_gb))
    rows.append(_gauge("RAM", reading.ram_used_gb, reading.ram_total_gb))
    more = [f"{reading.disk_free_gb:.0f} GB of disk free"]
    if reading.gpu_temperature is not None:
        more.append(f"{reading.gpu_temperature:.0f} °C")
    if reading.gpu_power is not None:
        more.append(f"{reading.gpu_power:.0f} W")
    rows.append(f'<p class="quiet">{markup.text(" · ".join(more))}</p>')
    return f'<div class="gauges">{"".join(rows)}</div>'


def _gauge(name: str, used: float, total: float) -> str:
    said = f"{used:.1f} of {total:.0f} GB"
    return (
        f'<div class="gauge"><div class="names"><span>{name}</span><span>{said}</span></div>'
        f"{markup.bar(name, used, total, said)}</div>"
    )


def strip(view: RunView) -> str:
    """Name, state, phase, step and time left of the run, in the sidebar."""
    state = f'<span class="state {view.state}">{wording.STATES[view.state]}</span>'
    if view.state == "idle":
        return f'<div class="strip" role="status" data-state="idle">{state}</div>'
    current = next((p.title for p in view.phases if p.name == view.phase), "")
    lines = [f'<p class="run">{markup.text(view.run)}</p>', state]
    if view.active and current:
        lines.append(f"<p>{markup.text(current)}</p>")
    if view.num_steps:
        lines.append(f"<p>Step {view.step} of {view.num_steps}{wording.left(view)}</p>")
        lines.append(markup.bar("Steps of the run", view.step, view.num_steps))
    percent = round(100 * view.step / view.num_steps) if view.num_steps else 0
    known = {"run": view.run, "state": view.state, "at": view.updated_at, "percent": percent}
    data = " ".join(f'data-{name}="{markup.text(value)}"' for name, value in known.items())
    return f'<div class="strip" role="status" {data}>{"".join(lines)}</div>'


def heartbeat(view: RunView, now: float) -> str:
    """How long ago a run that goes on has said something."""
    quiet = watchdog.silence(view, now)
    return "" if quiet is None else markup.quiet(wording.sign_of_life(quiet))


def warning(said: Sequence[str]) -> str:
    """The yellow strip: what the watchdog says."""
    notes = "".join(f"<p>{markup.text(sentence)}</p>" for sentence in said)
    return f'<div class="watchdog" role="status">{notes}</div>' if notes else ""
