"""The memory of this process, pages of mapped files counted, in bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_FORGET = Path("/proc/self/clear_refs")


def forgets() -> bool:
    """Whether the system lets a peak begin anew, which only Linux does."""
    return os.access(_FORGET, os.W_OK)


def reset_peak() -> int:
    """What it has now; where the system `forgets`, the peak begins anew from here."""
    if forgets():
        _FORGET.write_text("5")
    return int(psutil.Process().memory_info().rss)


def peak() -> int:
    """The most that it had."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
    if os.name == "nt":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
