"""Optimizers that train at one point and hand over another, their average."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Averaging(Protocol):
    """Between steps the parameters hold the point where the next gradient is taken, unless the average is
    shown. Going there and back changes no bit.
    """

    def show_average(self) -> None: ...

    def show_training_point(self) -> None: ...
