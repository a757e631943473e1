from pathlib import Path

import pytest
import torch

from tests.tiny import write_tiny_flux
from tuner.adapters.catalog import ALGORITHMS, algorithm
from tuner.adapters.lora import Adapter
from tuner.adapters.shape import LoraShape
from tuner.errors import CheckpointMismatch, TunerError
from tuner.flux import loading
from tuner.flux.objective import Conditions, predict_velocity
from tuner.flux.targets import TARGETS


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_flux(tmp_path_factory.mktemp("flux"))


def _attached(
    flux: Path, *, rank: int = 4, alpha: float = 2.0, target: str = "all", seed: int = 1
) -> tuple[torch.nn.Module, Adapter]:
    source = loading.Source(str(flux), "transformer")
    transformer = loading.transformer(source, torch.float32, torch.device("cpu"))
    shape = LoraShape(rank, alpha, 0.0, "default", TARGETS[target], seed)
    return transformer, algorithm("standard").attach(transformer, shape)


def _output(transformer: torch.nn.Module) -> torch.Tensor:
    dice = torch.Generator().manual_seed(3)
    noisy = torch.randn(2, 16, 8, 8, generator=dice)
    prompts = Conditions(torch.randn(2, 128, generator=dice), torch.randn(2, 6, 128, generator=dice))
    with torch.no_grad():
        return predict_velocity(transformer, noisy, torch.tensor([0.2, 0.8]), prompts, torch.ones(2))


def _shaken(adapter: Adapter) -> None:
    dice = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=dice))


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_a_fresh_adapter_changes_nothing_and_alone_is_trained(row: object, flux: Path) -> None:
    transformer, adapter = _attached(flux)
    with adapter.disabled():
        base = _output(transformer)
    assert torch.equal(_output(transformer), base)
    trained = [p for p in transformer.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in adapter.parameters()}
    assert adapter.num_modules == 8 * 2 + 3 * 5


def test_disabled_means_the_base(flux: Path) -> None:
    transformer, adapter = _attached(flux)
    base = _output(transformer)
    _shaken(adapter)
    assert not torch.allclose(_output(transformer), base)
    with adapter.disabled():
        assert torch.equal(_output(transformer), base)


def test_tensors_carry_alpha_and_come_back_to_the_same_output(flux: Path) -> None:
    transformer, adapter = _attached(flux, target="all+ffs")
    _shaken(adapter)
    tensors = adapter.tensors()
    assert tensors["transformer.proj_out.alpha"].item() == 2.0
    assert all(t.dtype == torch.float32 for t in tensors.values())
    other, fresh = _attached(flux, target="all+ffs", alpha=4.0, seed=2)
    fresh.load(tensors)
    assert torch.equal(_output(other), _output(transformer)), "the file's alpha counts, not the setting's"


def test_a_file_of_another_rank_is_refused_and_changes_nothing(flux: Path) -> None:
    _, big = _attached(flux, rank=8)
    _, adapter = _attached(flux)
    before = adapter.tensors()
    with pytest.raises(CheckpointMismatch, match="does not fit these settings"):
        adapter.load(big.tensors())
    assert all(torch.equal(before[key], value) for key, value in adapter.tensors().items())


def test_the_seed_decides_the_start_and_leaves_the_global_dice_alone(flux: Path) -> None:
    state = torch.get_rng_state()
    _, first = _attached(flux, seed=1)
    _, second = _attached(flux, seed=1)
    _, third = _attached(flux, seed=2)
    assert torch.equal(first.parameters()[0], second.parameters()[0])
    assert not torch.equal(first.parameters()[0], third.parameters()[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_targets_that_do_not_exist_are_named(flux: Path) -> None:
    with pytest.raises(TunerError, match="None of the chosen LoRA targets"):
        _attached(flux, target="tiny")
