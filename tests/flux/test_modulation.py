"""A table of modulation outputs gives what the layers give: outputs and adapter gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from tuner.adapters.catalog import algorithm
from tuner.flux.modulation import Modulation, Row
from tuner.flux.objective import Conditions, predict_velocity
from tuner.flux.targets import is_modulation
from tuner.practice import parts


def _plain() -> nn.Module:
    torch.manual_seed(2)
    transformer = parts.transformer()
    for weight in transformer.parameters():
        nn.init.normal_(weight, std=0.05)
    return transformer.requires_grad_(False)


def _evicted(plain: nn.Module) -> tuple[nn.Module, Modulation]:
    transformer = copy.deepcopy(plain)
    layers = {path: module for path, module in transformer.named_modules() if is_modulation(path)}
    for path, layer in layers.items():
        parent, _, name = path.rpartition(".")
        setattr(transformer.get_submodule(parent), name, Row(layer.in_features, layer.out_features))
    return transformer, Modulation(transformer, layers.__getitem__, torch.device("cpu"))


def _inputs(count: int = 3) -> tuple[Tensor, Tensor, Conditions, Tensor]:
    dice = torch.Generator().manual_seed(4)
    conditions = Conditions(
        torch.randn(count, 128, generator=dice), torch.randn(count, 5, 128, generator=dice)
    )
    return (
        torch.randn(count, 16, 8, 8, generator=dice),
        torch.rand(count, generator=dice),
        conditions,
        torch.full((count,), 3.5),
    )


def test_outputs_are_those_of_the_plain_model() -> None:
    plain = _plain()
    evicted, _ = _evicted(plain)
    expected = predict_velocity(plain, *_inputs())
    assert torch.allclose(predict_velocity(evicted, *_inputs()), expected, rtol=1e-5, atol=1e-5)


def test_rows_made_ahead_are_found_and_no_layer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain()
    evicted, modulation = _evicted(plain)
    noisy, sigmas, conditions, guidance = _inputs()
    expected = predict_velocity(plain, noisy, sigmas, conditions, guidance)
    modulation.prepare(sigmas, guidance, conditions.pooled)
    monkeypatch.setattr(modulation, "_layer", None)
    for one in (2, 0, 1):
        alone = Conditions(conditions.pooled[one : one + 1], conditions.embeddings[one : one + 1])
        made = predict_velocity(
            evicted, noisy[one : one + 1], sigmas[one : one + 1], alone, guidance[one : one + 1]
        )
        assert torch.allclose(made, expected[one : one + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_adapter_gradients_are_those_of_the_plain_model(checkpointing: bool) -> None:
    from tuner.adapters.base import Base
    from tuner.adapters.shape import LoraShape
    from tuner.quantization.frozen import dequantized

    plain = _plain()
    evicted, _ = _evicted(plain)
    gradients = []
    for transformer in (plain, evicted):
        adapter = algorithm("standard").attach(
            transformer,
            LoraShape(4, 4.0, 0.0, "gaussian", ("to_q", "proj_mlp"), 1),
            Base(dequantized, lambda _: torch.empty(0)),
        )
        with torch.no_grad():
            for number, weight in enumerate(adapter.parameters()):
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) / 10)
        if checkpointing:
            transformer.enable_gradient_checkpointing()
        transformer.train()
        predict_velocity(transformer, *_inputs()).square().sum().backward()
        gradients.append([weight.grad for weight in adapter.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_a_quarter_of_flux_leaves_the_card() -> None:
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(guidance_embeds=True)
        evicted, _ = _evicted(transformer)
    total, resident = (sum(w.numel() for w in one.parameters()) for one in (transformer, evicted))
    assert total == pytest.approx(11.90e9, rel=0.001)
    assert resident <= 0.75 * total
