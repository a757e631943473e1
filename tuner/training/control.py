"""What the user may ask of a running run: the one arrow that points back."""

from __future__ import annotations

import threading


class Control:
    """A few flags, set by session and read by `training.run` between steps."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.pause = threading.Event()
        self.sample_now = threading.Event()
        self.save_now = threading.Event()
