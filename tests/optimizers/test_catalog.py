"""Every row really trains, costs what it says, and refuses what it does not know."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch

from tests.optimizers.problem import lora_pair, loss_of, train
from tuner.errors import BackendMissing, TunerError
from tuner.optimizers import catalog, refused

ROWS = pytest.mark.parametrize("row", catalog.OPTIMIZERS, ids=lambda row: row.name)
FORMATS = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    values = [value for state in optimizer.state.values() for value in state.values()]
    return sum(v.numel() * v.element_size() for v in values if isinstance(v, torch.Tensor))


@ROWS
@FORMATS
def test_three_steps_lower_the_loss(row: catalog.OptimizerRow, dtype: torch.dtype) -> None:
    parameters = lora_pair(dtype)
    optimizer = catalog.build(row.name, parameters, row.default_lr)
    losses = [*train(optimizer, parameters, 3), loss_of(parameters).item()]
    assert losses[-1] < losses[0]
    assert all(torch.isfinite(p).all() and p.dtype == dtype for p in parameters)


@ROWS
@FORMATS
def test_states_cost_what_the_row_says(row: catalog.OptimizerRow, dtype: torch.dtype) -> None:
    parameters = lora_pair(dtype)
    # the square matrices of a LoRA's short sides count for nothing in a real adapter; here they would
    options = {"max_precond_dim": 0} if "max_precond_dim" in row.options else {}
    optimizer = catalog.build(row.name, parameters, row.default_lr, options)
    train(optimizer, parameters, 1)
    said = row.state_bytes_per_parameter if dtype == torch.bfloat16 else row.state_bytes_per_fp32_parameter
    # 8-bit states carry tables of a fixed size, which count for nothing in a real adapter
    assert state_bytes(optimizer) / sum(p.numel() for p in parameters) == pytest.approx(said, abs=0.3)


@ROWS
def test_a_row_tells_what_a_user_needs(row: catalog.OptimizerRow) -> None:
    assert row.advice.endswith(".") and 20 < len(row.advice) < 110
    assert 0 < row.default_lr <= 1


@pytest.mark.parametrize("name", ["adamw_bf16", "bnb-adamw8bit", "torch-adamw"])
def test_defaults_of_simpletuner_reach_the_optimizer(name: str) -> None:
    group = catalog.build(name, lora_pair(torch.float32), 3e-4).param_groups[0]
    for key in ("betas", "weight_decay", "eps"):
        assert group[key] == catalog.row(name).options[key]
    assert group["lr"] == 3e-4


def test_options_and_single_betas() -> None:
    options = {"beta2": 0.5, "weight_decay": 0.1}
    group = catalog.build("optimi-adan", lora_pair(torch.float32), 1e-4, options).param_groups[0]
    assert [group[key] for key in ("beta1", "beta2", "beta3", "weight_decay")] == [0.98, 0.5, 0.999, 0.1]


UNKNOWN = [
    ("adamw_bf16", "momentum"),
    ("torch-sgd", "beta1"),
    ("bnb-lion", "beta3"),
    ("bnb-lion", "is_paged"),
]


@pytest.mark.parametrize(("name", "key"), UNKNOWN)
def test_an_unknown_option_is_a_sentence(name: str, key: str) -> None:
    with pytest.raises(TunerError, match=f"{name} has no option '{key}'"):
        catalog.build(name, lora_pair(torch.float32), 1e-4, {key: 0.5})
    assert len(catalog.option_problems(name, {key: 0.5})) == 1


def test_muon_wants_matrices() -> None:
    with pytest.raises(TunerError, match="muon trains matrices only"):
        catalog.build("muon", [torch.nn.Parameter(torch.zeros(4))], 1e-4)


def test_refused_names_lead_to_a_row() -> None:
    assert not {one.name for one in refused.REFUSED} & set(catalog.names())
    assert {one.instead for one in refused.REFUSED} | set(refused.RENAMED.values()) <= set(catalog.names())


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BackendMissing, match="optimi-lion needs the library 'optimi'"):
        catalog.build("optimi-lion", lora_pair(torch.float32), 1e-4)


def test_names_are_unique_and_begin_with_the_default() -> None:
    assert len(set(catalog.names())) == len(catalog.OPTIMIZERS)
    assert catalog.names()[0] == "adamw_bf16"


def test_the_catalog_needs_no_torch() -> None:
    code = (
        "import sys; from tuner.optimizers import catalog, options, schedules; print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output == "False\n"
