"""For all tests: one thread a process, so that toy-sized tensors do not wait for each other's cores; and
nothing that was learned of this computer.
"""

import os
from pathlib import Path

import pytest

from tuner.plan import peaks

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def peaks_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What runs of this test alone took."""
    file = tmp_path_factory.mktemp("learned") / "peaks.json"
    monkeypatch.setattr(peaks, "FILE", file)
    return file
