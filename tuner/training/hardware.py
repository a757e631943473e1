"""The device of a run, and the number formats that it computes in."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from tuner import machine
from tuner.events import Emit, Warned
from tuner.plan.memory import CONTEXT_GB
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Hardware:
    """`dtype` is what frozen weights and activations are kept in."""

    device: torch.device
    dtype: torch.dtype

    def reset_peak_vram(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_vram_gb(self) -> float:
        """The most that was taken of the card since the reset; 0 without one."""
        if self.device.type != "cuda":
            return 0.0
        return CONTEXT_GB + torch.cuda.max_memory_reserved(self.device) / machine.GB

    def most_vram_gb(self) -> float:
        """As much as this process can take of the card beside others at this moment; 0 without one."""
        if self.device.type != "cuda":
            return 0.0
        free, _ = torch.cuda.mem_get_info(self.device)
        return CONTEXT_GB + (free + torch.cuda.memory_reserved(self.device)) / machine.GB


def find_hardware(settings: RunSettings, emit: Emit) -> Hardware:
    """The first NVIDIA card, else the CPU; bf16 where the settings ask for it and the card has it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = settings.model.mixed_precision == "bf16"
    if bf16 and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        emit(Warned(text="This card has no bf16, so the run uses float32, which takes twice the memory."))
        bf16 = False
    return Hardware(device, torch.bfloat16 if bf16 else torch.float32)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Inside, nothing is left out at random; afterwards the model is in the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def free_memory(device: torch.device) -> None:
    """Gives back what a phase held; the caller has dropped its references."""
    gc.collect()
    machine.release_freed_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()
