"""T5 read layer by layer gives what the whole encoder gives, bit for bit, and holds one layer at a time."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import WeakSet

import pytest
import torch
from torch import nn

from tests.tiny import write_tiny_flux
from tuner.flux import loading, text
from tuner.flux.loading import Source
from tuner.quantization import catalog

CPU = torch.device("cpu")
TEXTS = ["a red house", "", "a house on a hill, seen from far away", "sks", "two"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_flux(tmp_path_factory.mktemp("flux"))


def _encoders(
    folder: Path, dtype: torch.dtype, rows: int | None, place: loading.Place | None = None
) -> text.TextEncoders:
    return loading.text_encoders(Source(str(folder), None), dtype, CPU, 12, (None, place), rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_embeddings_are_those_of_the_whole_encoder(folder: Path, dtype: torch.dtype, rows: int) -> None:
    whole, layered = _encoders(folder, dtype, None), _encoders(folder, dtype, rows)
    found = text.encode(TEXTS, layered).embeddings
    for start in range(0, len(TEXTS), rows):
        piece = text.encode(TEXTS[start : start + rows], whole).embeddings
        assert torch.equal(found[start : start + rows], piece)


def test_quantized_layers_too(folder: Path) -> None:
    quantize = catalog.precision("nf4-bnb").quantize
    assert quantize is not None

    def place(_: str, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
        return quantize(weight, bias, CPU, torch.float32)

    whole, layered = (_encoders(folder, torch.float32, rows, place) for rows in (None, 5))
    assert torch.equal(text.encode(TEXTS, layered).embeddings, text.encode(TEXTS, whole).embeddings)


def test_one_layer_is_there_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layered = _encoders(folder, torch.float32, 2).encoder_2
    fill, made, most = layered._fill, WeakSet[nn.Module](), []

    def counted(module: nn.Module, path: str) -> nn.Module:
        gc.collect()
        most.append(len(made))
        made.add(fill(module, path))
        return module

    monkeypatch.setattr(layered, "_fill", counted)
    layered(torch.ones(3, 5, dtype=torch.long))
    assert len(most) > 2 and set(most) == {0}, "the one before was still there"
    assert sum(weight.numel() for weight in layered.parameters()) < 1000
