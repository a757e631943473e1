"""What the adapter of some settings is, counted before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.adapters.test_lora import PARAMETERS
from tests.adapters.test_lycoris import CASES, GUIDE, Small, attached, config
from tuner.adapters.lycoris_config import LycorisShape, shape
from tuner.adapters.shape import LoraShape
from tuner.errors import TunerError
from tuner.flux.anatomy import class_of
from tuner.flux.targets import TARGETS
from tuner.plan import adapter
from tuner.plan.sizes import Linear, Shape
from tuner.settings.adapter import Adapter
from tuner.settings.memory import Memory
from tuner.settings.run import RunSettings

FLUX = tuple(Shape().linears())


def settings(
    precision: str = "no_change", lycoris: dict[str, Any] | None = None, **choice: Any
) -> RunSettings:
    return RunSettings(
        adapter=Adapter(**choice), memory=Memory(base_model_precision=precision), lycoris=lycoris or {}
    )


@pytest.mark.parametrize("name", TARGETS)
def test_a_lora_on_flux_is_counted_as_it_is_attached(name: str) -> None:
    asked = settings(flux_lora_target=name)
    assert adapter.num_parameters(asked, FLUX) == PARAMETERS[name][1]
    assert len(list(adapter.trained(asked, FLUX))) == PARAMETERS[name][0]
    magnitudes = sum(one.linear.num_out for one in adapter.trained(asked, FLUX))
    assert adapter.num_parameters(replace(asked, adapter=replace(asked.adapter, use_dora=True)), FLUX) == (
        PARAMETERS[name][1] + magnitudes
    )


def test_the_guides_lokr_on_flux_is_counted_as_it_is_attached() -> None:
    asked = settings(lora_type="lycoris", lycoris=GUIDE)
    assert len(list(adapter.trained(asked, FLUX))) == 342
    assert adapter.num_parameters(asked, FLUX) == 54_705_408


@pytest.mark.parametrize(("algo", "others"), CASES, ids=lambda one: one if isinstance(one, str) else str(one))
def test_every_algorithm_is_counted_as_it_is_attached(algo: str, others: dict[str, Any]) -> None:
    real = attached(Small(), config(algo, **others))
    linears = (Linear("first", 128, 256), Linear("second", 256, 128))
    counted = sum(one.num_parameters for one in shape(config(algo, **others)).trained(linears, class_of))
    assert counted == sum(weight.numel() for weight in real.parameters())


def test_the_users_own_list_comes_before_the_sliders_and_that_before_a_ready_made_one() -> None:
    own, slider = {"peft_lora_target_modules": ("proj_mlp",)}, {"slider_lora_target": True}
    assert adapter.targets(settings(**own, **slider)) == ("proj_mlp",)
    assert adapter.targets(settings(**slider, flux_lora_target="context")) == TARGETS["mmdit"]
    assert adapter.targets(settings(flux_lora_target="context")) == TARGETS["context"]


def test_names_without_a_layer_are_told_and_none_at_all_is_refused() -> None:
    some = settings(peft_lora_target_modules=("attn.to_q", "to_qkv"))
    assert list(adapter.notes(some, FLUX, 0)) == [
        "'peft_lora_target_modules' names 'to_qkv', and no layer is called so."
    ]
    adapter.refuse_nothing(some, FLUX)
    nowhere = {"apply_preset": {"target_module": ["UNet"], "module_algo_map": {}}}
    for asked in (
        settings(peft_lora_target_modules=("to_qkv",)),
        settings(lora_type="lycoris", lycoris={**GUIDE, **nowhere}),
    ):
        with pytest.raises(TunerError, match="None of the layers") as refused:
            adapter.refuse_nothing(asked, FLUX)
        assert refused.value.advice[0].change


def test_loftq_needs_something_that_was_lost() -> None:
    assert adapter.start(settings(lora_init_type="loftq")) == "default"
    assert adapter.start(settings("int8-quanto", lora_init_type="loftq")) == "loftq"
    assert adapter.start(settings("int8-quanto", lora_init_type="loftq", init_lora="a")) == "default"


def lora_file(path: Path, ranks: tuple[int, ...], first: bool = False, **metadata: str) -> Path:
    tensors = {"lora_te1_something.alpha": torch.zeros(2)}
    for number, rank in enumerate(ranks):
        for name in ("lora_A", "lora_A_init") if first else ("lora_A",):
            tensors[f"transformer.transformer_blocks.{number}.attn.to_q.{name}.weight"] = torch.zeros(rank, 4)
    save_file(tensors, path, metadata)
    return path


def test_the_rank_comes_from_the_file_that_a_run_starts_from(tmp_path: Path) -> None:
    path = lora_file(tmp_path / "a.safetensors", (8, 8), global_step="300")
    made = adapter.shape(settings(init_lora=str(path), lora_rank=64))
    assert isinstance(made, LoraShape) and (made.rank, made.alpha) == (8, 8)
    assert adapter.first_step(settings(init_lora=str(path))) == 300
    assert adapter.first_step(settings(init_lora=str(path), init_lora_step=0)) == 0
    assert adapter.first_step(settings()) == 0
    assert adapter.rank_of(lora_file(tmp_path / "b.safetensors", (8,), first=True)) == 16
    assert adapter.rank_of(lora_file(tmp_path / "c.safetensors", (4, 8))) == 8
    with pytest.raises(TunerError, match="holds no LoRA"):
        adapter.rank_of(lora_file(tmp_path / "d.safetensors", ()))


def test_a_norm_to_start_with_gives_way_to_a_file() -> None:
    asked = settings(lora_type="lycoris", lycoris=GUIDE, init_lokr_norm=1e-3)
    made = adapter.shape(asked)
    assert isinstance(made, LycorisShape) and made.init_norm == 1e-3
    from_file = adapter.shape(replace(asked, adapter=replace(asked.adapter, init_lora="a.safetensors")))
    assert isinstance(from_file, LycorisShape) and from_file.init_norm is None


def test_tensors_for_text_encoders_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = lora_file(tmp_path / "a.safetensors", (8,))
    (note,) = adapter.notes(settings(init_lora=str(path)), (), 0)
    assert note == "'init_lora' holds 1 tensors for text encoders, which are left out."
