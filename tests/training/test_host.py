"""The peak of this process is what it had at most since it began anew."""

from __future__ import annotations

import pytest
import torch

from tuner.training import host


def test_the_peak_counts_what_is_gone_again() -> None:
    before = host.reset_peak()
    torch.ones(30_000_000, dtype=torch.uint8)
    assert host.peak() > before + 20_000_000


@pytest.mark.skipif(not host.forgets(), reason="only Linux lets a peak begin anew")
def test_it_begins_anew() -> None:
    torch.ones(60_000_000, dtype=torch.uint8)
    high = host.peak()
    host.reset_peak()
    assert host.peak() < high - 40_000_000
