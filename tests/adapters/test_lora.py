"""LoRA against PEFT, DoRA against its definition, and each start on each base."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from diffusers import FluxTransformer2DModel
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor

from tests.adapters.small import BASES, Small, check_life, inputs, shaken
from tuner.adapters.adapter import Adapter
from tuner.adapters.base import Base
from tuner.adapters.catalog import algorithm
from tuner.adapters.shape import LoraShape
from tuner.adapters.starts import STARTS, names, start
from tuner.errors import CheckpointMismatch
from tuner.flux.targets import TARGETS
from tuner.quantization.frozen import dequantized

PARAMETERS = {
    "mmdit": (190, 18_677_760),
    "all": (266, 26_148_864),
    "context": (76, 7_471_104),
    "context+ffs": (114, 16_809_984),
    "all+ffs": (419, 65_422_336),
    "all+ffs+embedder": (420, 65_472_512),
    "ai-toolkit": (495, 85_967_872),
    "tiny": (2, 589_824),
    "nano": (1, 294_912),
}


def shape(init: str = "default", **others: object) -> LoraShape:
    values = {"rank": 4, "alpha": 2.0, "dropout": 0.0, "targets": ("first", "second"), "seed": 1}
    return LoraShape(init=init, **{**values, **others})


def attached(model: Small, init: str = "default", **others: object) -> Adapter:
    return algorithm("standard").attach(model, shape(init, **others), model.base())


def effect(adapter: Adapter, path: str) -> Tensor:
    """What a file of the adapter adds to the weight, by the definition."""
    found = {
        key.removeprefix(f"transformer.{path}."): values
        for key, values in adapter.tensors().items()
        if key.startswith(f"transformer.{path}.")
    }
    product = found["lora_B.weight"] @ found["lora_A.weight"]
    if "lora_A_init.weight" in found:
        product = product - found["lora_B_init.weight"] @ found["lora_A_init.weight"]
    return found["alpha"] / len(found["lora_A.weight"]) * product


LOSSES = ("int8-quanto", "int4-quanto", "nf4-bnb")


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize(
    ("init", "base"),
    [(row.name, base) for row in STARTS for base in (LOSSES if row.source == "residual" else BASES)],
)
def test_every_start_lives_on_every_base(init: str, base: str, dora: bool) -> None:
    check_life(base, lambda model: attached(model, init, dora=dora), start(init).source != "residual")


@pytest.mark.parametrize("init", [True, "gaussian", "olora"])
def test_values_and_outputs_are_those_of_peft(init: object) -> None:
    ours, theirs = Small(), Small()
    adapter = attached(ours, "default" if init is True else str(init), alpha=6.0)
    config = LoraConfig(r=4, lora_alpha=6, init_lora_weights=init, target_modules=["first", "second"])
    torch.manual_seed(1)
    inject_adapter_in_model(config, theirs)
    for path in ("first", "second"):
        layer = getattr(theirs, path)
        for name, side in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B)):
            values = adapter.tensors()[f"transformer.{path}.{name}.weight"]
            assert torch.allclose(values, side["default"].weight, atol=1e-6), (path, name)
    assert torch.allclose(ours(inputs()), theirs(inputs()), atol=1e-5)
    for values in (*adapter.parameters(), *(p for p in theirs.parameters() if p.requires_grad)):
        values.data += 0.05 * torch.randn(
            values.shape, generator=torch.Generator().manual_seed(values.numel())
        )
    assert torch.allclose(ours(inputs()), theirs(inputs()), atol=1e-4)


def test_pissa_begins_with_the_directions_that_peft_takes() -> None:
    """PEFT writes W - s B A back as the weight; here the first pair is taken off beside it."""
    model, theirs = Small(), Small()
    adapter = attached(model, "pissa", alpha=6.0)
    config = LoraConfig(r=4, lora_alpha=6, init_lora_weights="pissa", target_modules=["first", "second"])
    inject_adapter_in_model(config, theirs)
    for path in ("first", "second"):
        layer, tensors = getattr(theirs, path), adapter.tensors()
        ours = tensors[f"transformer.{path}.lora_B.weight"] @ tensors[f"transformer.{path}.lora_A.weight"]
        peft = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        left = model.originals[path] - 1.5 * ours
        assert torch.linalg.matrix_norm(left - layer.base_layer.weight) < 0.02 * torch.linalg.matrix_norm(
            left
        )
        assert torch.linalg.matrix_norm(ours) > 0.99 * torch.linalg.matrix_norm(peft)


@pytest.mark.parametrize("base", LOSSES)
def test_loftq_brings_a_quantized_layer_nearer_to_the_original(base: str) -> None:
    """By as much as the best product of that rank does (Eckart and Young), whatever alpha is."""
    model = Small(base)
    adapter = attached(model, "loftq", rank=16, alpha=3.0)
    for path, original in model.originals.items():
        lost = original - dequantized(getattr(model, path))
        tensors = adapter.tensors()
        start_of = tensors[f"transformer.{path}.lora_B.weight"] @ tensors[f"transformer.{path}.lora_A.weight"]
        left = torch.linalg.matrix_norm(lost - 3.0 / 16 * start_of)
        best = torch.linalg.svdvals(lost)[16:].square().sum().sqrt()
        assert left < 0.95 * torch.linalg.matrix_norm(lost)
        assert left == pytest.approx(float(best), rel=0.01)
    exact = Small()(inputs())
    with adapter.disabled():
        untrained = model(inputs())
    assert torch.equal(untrained, model(inputs())), "what was lost belongs to the layer, not to the adapter"
    assert (untrained - exact).norm() < (Small(base)(inputs()) - exact).norm()


def test_a_layer_that_lost_nothing_starts_by_chance() -> None:
    model = Small()
    adapter = attached(model, "loftq")
    assert not any("_init" in key for key in adapter.tensors())
    assert torch.equal(model(inputs()), Small()(inputs()))


def test_a_rank_above_the_layers_size_keeps_a_random_rest() -> None:
    adapter = attached(Small(), "pissa", rank=200, alpha=200.0)
    down = adapter.tensors()["transformer.first.lora_A.weight"]
    assert down.shape == (200, 128) and down[150].any()


@pytest.mark.parametrize("init", ["default", "pissa"])
@pytest.mark.parametrize("base", ["plain", "int4-quanto", "nf4-bnb"])
def test_dora_trains_the_norms_of_the_rows(base: str, init: str) -> None:
    """W' = m (W + dW) / |W + dW|, the norm a constant for gradients: outputs and gradients by it."""
    model = Small(base)
    adapter = shaken(attached(model, init, dora=True))
    tensors = adapter.tensors()
    weight, layer = dequantized(model.first), model.first
    trained = {
        name: tensors[f"transformer.first.{name}"].clone().requires_grad_()
        for name in ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
    }
    product = trained["lora_B.weight"] @ trained["lora_A.weight"]
    if init == "pissa":
        first = [tensors[f"transformer.first.lora_{side}_init.weight"] for side in "BA"]
        product = product - first[0] @ first[1]
    changed = weight + 0.5 * product
    factor = trained["lora_magnitude_vector"] / changed.detach().norm(dim=1)
    expected = F.linear(inputs(), factor[:, None] * changed, layer.bias.float())
    made = layer.float()(inputs()) if base == "plain" else layer(inputs())
    assert torch.allclose(made, expected, atol=1e-4)
    expected.square().sum().backward()
    made.square().sum().backward()
    for ours, name in zip(adapter.parameters()[:3], trained, strict=True):
        theirs = trained[name].grad
        assert torch.allclose(ours.grad, theirs, atol=1e-3 * float(theirs.abs().max()))


def test_strength_multiplies_the_effect() -> None:
    model = Small()
    adapter = shaken(attached(model, "pissa"))
    for value in (0.25, 1.0, 2.0):
        with adapter.strength(value):
            made = model.first(inputs())
        weight = model.originals["first"] + value * effect(adapter, "first")
        assert torch.allclose(made, F.linear(inputs(), weight, model.first.bias), atol=1e-5)


def test_dropout_leaves_out_inputs_in_training_alone() -> None:
    model = Small()
    shaken(attached(model, dropout=0.5))
    still = model(inputs())
    assert torch.equal(still, model(inputs()))
    model.train()
    assert not torch.equal(model(inputs()), model(inputs()))


def test_the_alpha_of_a_file_counts_and_without_one_it_is_the_rank() -> None:
    model, other = Small(), Small()
    tensors = shaken(attached(model)).tensors()
    adapter = attached(other, alpha=40.0)
    adapter.load(tensors)
    assert torch.equal(other(inputs()), model(inputs()))
    assert adapter.tensors()["transformer.first.alpha"] == 2.0
    adapter.load({key: values for key, values in tensors.items() if not key.endswith(".alpha")})
    assert adapter.tensors()["transformer.first.alpha"] == 4.0


def test_a_file_of_another_rank_is_refused_and_changes_nothing() -> None:
    big, adapter = attached(Small(), rank=8), attached(Small())
    before = adapter.tensors()
    with pytest.raises(CheckpointMismatch, match="does not fit these settings"):
        adapter.load(big.tensors())
    assert all(torch.equal(before[key], values) for key, values in adapter.tensors().items())


def test_the_seed_decides_the_start_and_leaves_the_global_dice_alone() -> None:
    models, state = [Small() for _ in range(3)], torch.get_rng_state()
    first, second, third = (
        attached(model, "pissa", seed=seed).parameters()[0]
        for model, seed in zip(models, (1, 1, 2), strict=True)
    )
    assert torch.equal(first, second) and not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture(scope="module")
def flux() -> FluxTransformer2DModel:
    with torch.device("meta"):
        return FluxTransformer2DModel(guidance_embeds=True)


def test_every_list_of_layers_is_counted_here() -> None:
    assert PARAMETERS.keys() == TARGETS.keys() and names() == tuple(row.name for row in STARTS)
    assert start("loftq").source == "residual"


@pytest.mark.parametrize("name", TARGETS)
def test_modules_and_parameters_on_the_whole_flux(name: str, flux: FluxTransformer2DModel) -> None:
    """No memory is needed: on the meta device everything has a shape and no values."""
    nothing = Base(dequantized, lambda _: torch.empty(0))
    with torch.device("meta"):
        adapter = algorithm("standard").attach(
            flux, LoraShape(16, 16.0, 0.0, "default", TARGETS[name], 1), nothing
        )
    count = sum(weight.numel() for weight in adapter.parameters())
    assert (adapter.num_modules, count) == PARAMETERS[name]
