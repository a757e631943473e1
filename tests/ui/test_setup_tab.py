"""The doctor's table, versions and places."""

from __future__ import annotations

from tuner.machine import Finding
from tuner.ui import setup_tab


def test_each_finding_with_what_mends_it() -> None:
    shown = setup_tab.doctor(
        (Finding("Disk", "bad", "It is <full>.", "Free 2 GB."), Finding("Memory", "ok", "Enough."))
    )
    assert "It is &lt;full&gt;." in shown and "Free 2 GB." in shown
    assert 'class="state bad">mend' in shown and 'class="state ok">good' in shown


def test_versions_and_places(desk) -> None:
    doctor, places = setup_tab.show(desk)
    assert "Python" in doctor
    assert "6.31" in places and str(desk.runs.resolve()) in places
