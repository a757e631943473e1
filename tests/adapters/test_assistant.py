"""The assistant acts in training and in previews as strongly as it should, and is no part of the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tuner.adapters.assistant import Strengths, attach
from tuner.errors import CheckpointMismatch

CPU = torch.device("cpu")


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Sequential(nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


def _model() -> Two:
    torch.manual_seed(1)
    return Two().requires_grad_(False).train()


def _lora(alpha: float | None = None, names: tuple[str, str] = ("lora_A", "lora_B")) -> dict[str, Tensor]:
    dice = torch.Generator().manual_seed(2)
    found = {
        f"transformer.first.{names[0]}.weight": torch.randn(3, 6, generator=dice),
        f"transformer.first.{names[1]}.weight": torch.randn(8, 3, generator=dice),
        f"transformer.second.0.{names[0]}.weight": torch.randn(2, 8, generator=dice),
        f"transformer.second.0.{names[1]}.weight": torch.randn(4, 2, generator=dice),
    }
    if alpha is not None:
        found |= {"transformer.first.alpha": torch.tensor(alpha)}
    return found


def _merged(tensors: dict[str, Tensor], strength: float, first_scale: float = 1.0) -> Two:
    """The same model with the LoRA added to its weights."""
    model = _model()
    for path, scale in (("first", first_scale), ("second.0", 1.0)):
        down, up = (tensors[f"transformer.{path}.{name}.weight"] for name in ("lora_A", "lora_B"))
        model.get_submodule(path).weight += strength * scale * up @ down
    return model


@pytest.mark.parametrize("names", [("lora_A", "lora_B"), ("lora_down", "lora_up")])
def test_it_equals_the_merged_weights(names: tuple[str, str]) -> None:
    model, x = _model(), torch.randn(5, 6)
    assert attach(model, _lora(names=names), Strengths(0.7, 0.0), CPU, torch.float32) == 2
    assert torch.allclose(model(x), _merged(_lora(), 0.7)(x), atol=1e-5)


def test_alpha_over_rank_scales_it() -> None:
    model, x = _model(), torch.randn(5, 6)
    attach(model, _lora(alpha=6.0), Strengths(1.0, 0.0), CPU, torch.float32)
    assert torch.allclose(model(x), _merged(_lora(), 1.0, first_scale=2.0)(x), atol=1e-5)


def test_previews_have_their_own_strength() -> None:
    model, x = _model(), torch.randn(5, 6)
    plain = model(x)
    attach(model, _lora(), Strengths(1.0, 0.0), CPU, torch.float32)
    assert not torch.allclose(model(x), plain)
    assert torch.equal(model.eval()(x), plain)
    other = _model().eval()
    attach(other, _lora(), Strengths(0.0, 0.5), CPU, torch.float32)
    assert torch.allclose(other(x), _merged(_lora(), 0.5)(x), atol=1e-5)
    assert torch.equal(other.train()(x), plain)


def test_it_is_frozen_and_no_part_of_the_model() -> None:
    model, x = _model(), torch.randn(5, 6, requires_grad=True)
    before = model.state_dict().keys()
    attach(model, _lora(), Strengths(1.0, 0.0), CPU, torch.float32)
    model(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert model.state_dict().keys() == before
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({}, "two matrices"),
        ({"transformer.first.lora_A.weight": torch.ones(3, 6)}, "two matrices"),
        ({"lora_unet_first.lora_down.weight": torch.ones(3, 6), "x": torch.ones(1)}, "'x' in it is none"),
        (
            {
                "transformer.third.lora_A.weight": torch.ones(3, 6),
                "transformer.third.lora_B.weight": torch.ones(8, 3),
            },
            "'third' does not fit",
        ),
        (
            {
                "transformer.first.lora_A.weight": torch.ones(3, 7),
                "transformer.first.lora_B.weight": torch.ones(8, 3),
            },
            "'first' does not fit",
        ),
    ],
)
def test_another_file_is_refused_in_words(tensors: dict[str, Tensor], why: str) -> None:
    with pytest.raises(CheckpointMismatch, match=why) as refused:
        attach(_model(), tensors, Strengths(1.0, 0.0), CPU, torch.float32)
    assert refused.value.advice[0].change == {"adapter.disable_assistant_lora": True}
