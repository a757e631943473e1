"""Each algorithm, dialect and number format, layer by layer: a file does what the libraries trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.export.algorithms import GROUPS, RECIPES, Made, Recipe, changes_of, inputs, make
from tuner.errors import TunerError
from tuner.export import catalog
from tuner.export.check import TOLERANCE
from tuner.export.convert import notes
from tuner.export.source import Trained, read
from tuner.export.write import export


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Filled as the tests ask for it."""
    return {}


def made_of(name: str, made: dict[str, Made], folder: Path) -> Made:
    if name not in made:
        made[name] = make(RECIPES[name], folder)
    return made[name]


def effects_of(path: Path, dialect: str, made: Made) -> dict[str, Tensor]:
    """What each layer answers to the fixed inputs with the file loaded, minus what it answers without."""
    changes = changes_of(path, dialect, made.parameters)
    return {
        name: inputs(changes[f"{name}.weight"].shape[1]) @ changes[f"{name}.weight"].T
        + changes[f"{name}.bias"]
        for name in made.effects
    }


CASES = [(name, dialect) for name, recipe in RECIPES.items() for dialect in recipe.dialects]


@pytest.mark.parametrize("dtype", catalog.DTYPES)
@pytest.mark.parametrize(("name", "dialect"), CASES)
def test_a_file_does_what_was_trained(
    name: str, dialect: str, dtype: str, made: dict[str, Made], tmp_path: Path
) -> None:
    one = made_of(name, made, tmp_path)
    report = export(one.path, tmp_path / "out.safetensors", dialect, dtype, base=one.parameters.get)
    number = len(load_file(report.path))
    assert report.verdict.sentence.startswith(f"{number} of {number} tensors will load; 30 of 30 layers")
    got = effects_of(report.path, dialect, one)
    for group, pattern in GROUPS.items():
        modules = [module for module in one.effects if re.fullmatch(pattern, module)]
        wanted = torch.cat([one.effects[module].flatten() for module in modules])
        error = torch.cat([got[module].flatten() for module in modules]) - wanted
        assert error.norm() / wanted.norm() < TOLERANCE[dtype], group


def test_groups_are_all_layers_once(made: dict[str, Made], tmp_path: Path) -> None:
    for module in made_of("LoRA", made, tmp_path).effects:
        assert sum(re.fullmatch(pattern, module) is not None for pattern in GROUPS.values()) == 1


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(("name", "dialect"), [("LoRA", "comfyui"), ("LoRA", "kohya"), ("LoKr", "comfyui")])
def test_a_group_alone(name: str, dialect: str, group: str, made: dict[str, Made], tmp_path: Path) -> None:
    """Parts of a fused matrix whose other parts were not trained."""
    one = made_of(name, made, tmp_path)
    trained = read(one.path)
    chosen = {module for module in trained.modules if re.fullmatch(GROUPS[group], module)}
    kept = {
        key: value
        for key, value in load_file(one.path).items()
        if any(key.startswith((f"transformer.{m}.", f"lycoris_{m.replace('.', '_')}.")) for m in chosen)
    }
    save_file(kept, tmp_path / "part.safetensors")
    report = export(tmp_path / "part.safetensors", tmp_path / "out.safetensors", dialect)
    assert report.verdict.num_modules == report.verdict.num_compared == len(chosen)
    got = effects_of(report.path, dialect, one)
    for module, effect in one.effects.items():
        wanted = effect if module in chosen else torch.zeros_like(effect)
        assert torch.allclose(got[module], wanted, atol=1e-5)


REFUSED = [(name, dialect) for name in RECIPES for dialect in catalog.names() if (name, dialect) not in CASES]


@pytest.mark.parametrize(("name", "dialect"), REFUSED)
def test_what_a_dialect_cannot_say_is_said(
    name: str, dialect: str, made: dict[str, Made], tmp_path: Path
) -> None:
    one = made_of(name, made, tmp_path)
    with pytest.raises(TunerError, match="A file for .* cannot hold .*'comfyui'"):
        export(one.path, tmp_path / "out.safetensors", dialect, base=one.parameters.get)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("name", ["DoRA", "LoKr, DoRA", "IA3", "BOFT on outputs"])
def test_without_the_base_model_some_cannot_be_written(
    name: str, made: dict[str, Made], tmp_path: Path
) -> None:
    with pytest.raises(TunerError, match="Without the weights of the base model"):
        export(made_of(name, made, tmp_path).path, tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("name", "doubt"),
    [("LoRA", False), ("LoKr", False), ("full", False), ("GLoRA", True), ("OFT", True), ("BOFT", True)],
)
def test_without_the_base_model_random_weights_stand_in_where_it_matters(
    name: str, doubt: bool, made: dict[str, Made], tmp_path: Path
) -> None:
    verdict = export(made_of(name, made, tmp_path).path, tmp_path / "out.safetensors").verdict
    assert verdict.without_base == doubt == ("the base model was out of reach" in verdict.sentence)


@pytest.mark.parametrize("name", ["LoCon", "LoHa", "LoKr", "LoKr whole", "GLoRA", "IA3", "full"])
def test_the_multiplier_of_the_training_is_inside(name: str, made: dict[str, Made], tmp_path: Path) -> None:
    one = made_of(name, made, tmp_path)
    config = {"lycoris_config": json.dumps({"multiplier": 0.5, "bypass_mode": "false"})}
    save_file(load_file(one.path), tmp_path / "half.safetensors", metadata=config)
    report = export(tmp_path / "half.safetensors", tmp_path / "out.safetensors", base=one.parameters.get)
    got = effects_of(report.path, "comfyui", one)
    for module, wanted in one.effects.items():
        assert torch.allclose(got[module], wanted / 2, atol=1e-5)


@pytest.mark.parametrize("name", ["OFT", "LoKr, DoRA"])
def test_a_multiplier_that_cannot_be_said(name: str, made: dict[str, Made], tmp_path: Path) -> None:
    one = made_of(name, made, tmp_path)
    save_file(load_file(one.path), tmp_path / "half.safetensors", {"lycoris_config": '{"multiplier": 0.5}'})
    with pytest.raises(TunerError, match="strength of 0.5"):
        export(tmp_path / "half.safetensors", tmp_path / "out.safetensors", base=one.parameters.get)


def test_first_matrices_taken_out_of_the_base(made: dict[str, Made], tmp_path: Path) -> None:
    """PiSSA and OLoRA: the file says the difference to them, at twice the rank."""
    tensors = load_file(made_of("LoRA", made, tmp_path).path)
    dice = torch.Generator().manual_seed(6)
    for key in [key for key in tensors if key.endswith("weight")]:
        first = tensors[key] + torch.randn(tensors[key].shape, generator=dice) / 10
        tensors[key.replace(".weight", "_init.weight")] = first
    save_file(tensors, tmp_path / "pissa.safetensors")
    out = load_file(export(tmp_path / "pissa.safetensors", tmp_path / "out.safetensors").path)
    stem = "transformer.proj_out"
    up, down = (tensors[f"{stem}.lora_{half}.weight"] for half in "BA")
    up_0, down_0 = (tensors[f"{stem}.lora_{half}_init.weight"] for half in "BA")
    got = out[f"{stem}.lora_B.weight"] @ out[f"{stem}.lora_A.weight"] * out[f"{stem}.alpha"] / 8
    assert torch.allclose(got, (up @ down - up_0 @ down_0) * 2 / 4, atol=1e-6)
    for dialect in ("diffusers", "kohya"):
        export(tmp_path / "pissa.safetensors", tmp_path / f"{dialect}.safetensors", dialect)


def test_a_rescaled_oft_with_odd_blocks_is_a_sentence(tmp_path: Path) -> None:
    stem = "lycoris_transformer_blocks_0_attn_to_q"
    tensors = {
        f"{stem}.oft_blocks": torch.randn(64, 3, 3),
        f"{stem}.rescale": torch.ones(192, 1),
        f"{stem}.alpha": torch.tensor(0.0),
    }
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(TunerError, match="blocks of 3 rows.*'rescaled'"):
        export(tmp_path / "odd.safetensors", tmp_path / "out.safetensors")


def test_notes_say_where_a_file_does_not_work() -> None:
    part = {"oft_blocks": torch.zeros(16, 4, 4), "alpha": torch.tensor(0.0)}
    trained = Trained({"x_embedder": part}, {})
    assert "forge" in notes(trained, catalog.dialect("comfyui"))[0]


def test_recipes_know_their_dialects() -> None:
    assert all(isinstance(recipe, Recipe) and "comfyui" in recipe.dialects for recipe in RECIPES.values())
