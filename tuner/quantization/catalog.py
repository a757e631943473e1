"""In how few bits a frozen linear layer can be kept, one row a precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Quantize = Callable[[Tensor, Tensor | None, torch.device, torch.dtype], torch.nn.Module]
    Restore = Callable[[Mapping[str, Tensor], torch.device, torch.dtype], torch.nn.Module]


@dataclass(frozen=True)
class Precision:
    """`quantize(weight (out, in), bias (out,), device, dtype)` works where the weight lies, in pieces of
    rows, and gives a linear layer on `device`; `dtype` is the format of its scales and bias. None where
    nothing is quantized. `restore(tensors, device, dtype)` makes the same layer of what it `stored`.

    `bytes_per_weight` counts the scales too, and is None where the weight stays in the format of the rest.
    `why` says what keeps a precision from working here, after "because"; `instead` is the nearest that works.
    """

    name: str
    title: str
    bytes_per_weight: float | None = None
    quantize: Quantize | None = None
    restore: Restore | None = None
    why: str = ""
    instead: str = ""


def _quanto(kind: str) -> tuple[Quantize, Restore]:
    def quantize(
        weight: Tensor, bias: Tensor | None, device: torch.device, dtype: torch.dtype
    ) -> torch.nn.Module:
        from tuner.quantization import quanto

        return quanto.quantize(weight, bias, kind, device, dtype)

    def restore(tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
        from tuner.quantization import quanto

        return quanto.restore(tensors, kind, device, dtype)

    return quantize, restore


def _nf4(weight: Tensor, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    from tuner.quantization import nf4

    return nf4.quantize(weight, bias, device, dtype)


def _restored_nf4(tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    from tuner.quantization import nf4

    return nf4.restore(tensors, device, dtype)


def _refused(why: str, instead: dict[str, str]) -> tuple[Precision, ...]:
    return tuple(Precision(name, name, why=why, instead=nearest) for name, nearest in instead.items())


_TORCHAO = "it needs the library torchao, which is not part of this installation"
_SDNQ = "it needs the library SDNQ, whose licence (GPL) keeps it out of this installation"

PRECISIONS: tuple[Precision, ...] = (
    Precision("no_change", "not quantized"),
    Precision("int8-quanto", "8-bit integers, a scale a row", 1.001, *_quanto("qint8")),
    Precision("int4-quanto", "4-bit integers, a scale a 128 weights", 0.532, *_quanto("qint4")),
    Precision("int2-quanto", "2-bit integers, a scale a 128 weights", 0.282, *_quanto("qint2")),
    Precision("fp8-quanto", "8-bit floats (e4m3fn)", 1.001, *_quanto("qfloat8_e4m3fn")),
    Precision("fp8uz-quanto", "8-bit floats (e4m3fnuz)", 1.001, *_quanto("qfloat8_e4m3fnuz")),
    Precision("nf4-bnb", "4-bit normal floats, scales quantized too", 0.516, _nf4, _restored_nf4),
    *_refused(
        _TORCHAO,
        {
            "int4-torchao": "int4-quanto",
            "int8-torchao": "int8-quanto",
            "int8dq-torchao": "int8-quanto",
            "int8dq-int4-torchao": "int4-quanto",
            "fp8-torchao": "fp8-quanto",
            "fp8wo-torchao": "fp8-quanto",
            "fp8-int4-torchao": "int4-quanto",
        },
    ),
    *_refused("PyTorch's own fp8 products have no backward pass", {"fp8-native": "fp8-quanto"}),
    *_refused(
        "NVIDIA's TransformerEngine is not part of this installation: it must be compiled for each card",
        {"fp8-transformerengine": "fp8-quanto"},
    ),
    *_refused(
        _SDNQ,
        {
            "int8-sdnq": "int8-quanto",
            "uint8-sdnq": "int8-quanto",
            "int16-sdnq": "no_change",
            "uint16-sdnq": "no_change",
            "fp16-sdnq": "no_change",
            "fp8-sdnq": "fp8-quanto",
            "int6-sdnq": "int8-quanto",
            "int5-sdnq": "int8-quanto",
            "uint5-sdnq": "int8-quanto",
            "uint4-sdnq": "int4-quanto",
            "uint3-sdnq": "int4-quanto",
            "uint2-sdnq": "int2-quanto",
        },
    ),
)


def names() -> tuple[str, ...]:
    return tuple(row.name for row in PRECISIONS)


def working() -> tuple[str, ...]:
    """The names of those that can be chosen."""
    return tuple(row.name for row in PRECISIONS if not row.why)


def precision(name: str) -> Precision:
    """The row called `name`, a value of `base_model_precision`; raises KeyError."""
    return {row.name: row for row in PRECISIONS}[name]
