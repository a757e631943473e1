"""Reads the weights of a model one tensor at a time, with plain reads.

A mapped file would count as the process's own memory and grow to the size of the model; here the most that
lies in memory beside what the caller keeps is one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.errors import Advice, ModelMissing, TunerError
from tuner.flux.headers import AGAIN
from tuner.flux.single_file import Piece, Pieces

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
Change = Callable[[str, Tensor], Tensor]
"""(a tensor's name in diffusers, its values) -> what they become on their way into a model."""
_ROWS_VALUES = 2**22
"""Scaled fp8 weights are multiplied in pieces of about this many values."""


@dataclass(frozen=True)
class Weights:
    """The tensors of one model; `place` is where they lie, in the words of the user. What is read goes
    through `change`, where there is one.
    """

    tensors: Pieces
    place: str
    change: Change | None = None

    def read(self, name: str) -> Tensor:
        """One tensor on the CPU, in the format of its file unless it is changed; scaled fp8 comes as bf16."""
        parts = [_read(piece, self.place) for piece in self.tensors[name]]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return whole if self.change is None else self.change(name, whole)

    def require(self, shapes: Mapping[str, torch.Size]) -> None:
        """Raises ModelMissing unless every tensor of `shapes` is there in its size."""
        missing = [name for name in shapes if name not in self.tensors]
        if missing:
            raise ModelMissing(
                f"'{self.place}' is not a whole FLUX.1 transformer: {len(missing)} tensors are missing, "
                f"the first is '{missing[0]}'.",
                AGAIN,
            )
        for name, shape in shapes.items():
            there = (sum(piece.shape[0] for piece in self.tensors[name]), *self.tensors[name][0].shape[1:])
            if there != tuple(shape):
                raise ModelMissing(
                    f"'{self.place}' does not fit its config.json: '{name}' has the size {list(there)} "
                    f"instead of {list(shape)}.",
                    AGAIN,
                )


def _read(piece: Piece, place: str) -> Tensor:
    entry = piece.entry
    if entry.dtype not in _DTYPES:
        raise TunerError(
            f"'{place}' keeps its weights as {entry.dtype}, which cannot be read here.",
            Advice("Choose a file in bf16, fp16, float32 or fp8; 'base_model_precision' quantizes it."),
        )
    tensor = torch.empty(piece.shape, dtype=_DTYPES[entry.dtype])
    with entry.path.open("rb") as file:
        file.seek(entry.start + piece.first * entry.row_bytes)
        file.readinto(memoryview(tensor.view(-1).view(torch.uint8).numpy()))
    return tensor if piece.scale is None else _scaled(tensor, _read(Piece(piece.scale), place).float())


def _scaled(codes: Tensor, scale: Tensor) -> Tensor:
    """`codes` (rows, columns) times one number, or one number a row."""
    scale = scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(())
    scaled = torch.empty(codes.shape, dtype=torch.bfloat16)
    rows = max(1, _ROWS_VALUES // codes.shape[1])
    for start in range(0, len(codes), rows):
        these = slice(start, start + rows)
        scaled[these] = codes[these].float() * (scale[these] if scale.dim() else scale)
    return scaled
