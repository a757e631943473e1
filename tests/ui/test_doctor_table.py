"""Findings as a table."""

from __future__ import annotations

from tuner.machine import Finding
from tuner.ui import doctor_table


def test_each_finding_with_what_mends_it() -> None:
    full = Finding("Disk", "bad", "It is <full>.", "Free 2 GB.")
    shown = doctor_table.table((full, Finding("Memory", "ok", "Enough.")), "What there is")
    assert "It is &lt;full&gt;." in shown and "Free 2 GB." in shown and "data-copy" not in shown
    assert 'class="state bad">mend' in shown and 'class="state ok">good' in shown


def test_a_command_can_be_copied() -> None:
    one = Finding("PyTorch", "bad", "It is not installed.", "Type:", "bash install.sh")
    shown = doctor_table.table((one,), "What there is")
    assert "<code>bash install.sh</code>" in shown and 'data-copy="bash install.sh"' in shown
