"""The load check lets nothing pass that would act otherwise than it was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.export.algorithms import RECIPES, Made, make
from tuner.errors import TunerError
from tuner.export import check as check_module
from tuner.export.check import check
from tuner.export.source import read
from tuner.export.write import export

Harm = Callable[[dict[str, Tensor]], None]


@pytest.fixture(scope="module")
def dora(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(RECIPES["DoRA"], tmp_path_factory.mktemp("dora"), num_blocks=2)


def judged(made: Made, file: Path, dialect: str = "comfyui") -> str:
    return check(file, read(made.path), made.parameters.get, dialect, "float32").sentence


STEM = "transformer.transformer_blocks.0.attn.to_k"


def _without_alpha(tensors: dict[str, Tensor]) -> None:
    del tensors[f"{STEM}.alpha"]


def _unconverted(tensors: dict[str, Tensor]) -> None:
    tensors[f"{STEM}.dora_scale"] = tensors[f"{STEM}.dora_scale"] * 1.01


def _unturned(tensors: dict[str, Tensor]) -> None:
    key = "transformer.norm_out.linear.dora_scale"
    tensors[key] = tensors[key].roll(64, 0)


def _renamed(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if key.startswith(STEM)]:
        tensors[key.replace("to_k", "to_v")] = tensors.pop(key)


def _lost(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if key.startswith(STEM)]:
        del tensors[key]


def _more(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if key.startswith(STEM)]:
        tensors[key.replace("transformer_blocks.0", "transformer_blocks.5")] = tensors[key].clone()


def _twice(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if key.startswith(STEM)]:
        tensors["lycoris_" + STEM.removeprefix("transformer.").replace(".", "_") + key.removeprefix(STEM)] = (
            tensors[key].clone()
        )


def _stray(tensors: dict[str, Tensor]) -> None:
    tensors[f"{STEM}.lora_magnitude_vector"] = torch.ones(64)


def _nan(tensors: dict[str, Tensor]) -> None:
    tensors[f"{STEM}.lora_B.weight"][3, 1] = float("nan")


def _bias(tensors: dict[str, Tensor]) -> None:
    tensors["diffusion_model.img_in.bias.diff"] = torch.full((64,), 1e-3)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_without_alpha, "'transformer_blocks.0.attn.to_q' changes by|too much or too little"),
        (_unconverted, "too much or too little"),
        (_unturned, "'norm_out.linear' changes by"),
        (_renamed, "does not change 'transformer_blocks.0.attn.to_k'"),
        (_lost, "does not change 'transformer_blocks.0.attn.to_k'"),
        (_more, "'double_blocks.5.img_attn.qkv', which was not trained"),
        (_twice, "does not change .* once"),
        (_stray, "1 of 201 tensors would not load"),
        (_nan, "too much or too little"),
        (_bias, "the bias of 'x_embedder' changes"),
    ],
)
def test_a_wrong_file_does_not_pass(harm: Harm, words: str, dora: Made, tmp_path: Path) -> None:
    report = export(dora.path, tmp_path / "out.safetensors", base=dora.parameters.get)
    assert judged(dora, report.path).startswith("200 of 200 tensors will load; 50 of 50 layers")
    tensors = load_file(report.path)
    harm(tensors)
    save_file(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(TunerError, match=words):
        judged(dora, tmp_path / "wrong.safetensors")


def test_on_a_big_model_one_of_each_kind_is_compared(
    dora: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "_COMPARE_ALL", 1000)
    report = export(dora.path, tmp_path / "out.safetensors", base=dora.parameters.get)
    # 14 + 6 + 10 kinds of layers; q, k and v, with their blocks' other parts, are compared together
    assert report.verdict.num_compared == 30
    assert "30 of 50 layers were compared" in report.verdict.sentence


def test_another_base_model_is_a_sentence(dora: Made, tmp_path: Path) -> None:
    glora = make(RECIPES["GLoRA"], tmp_path)
    with pytest.raises(TunerError, match="does not fit the base model"):
        export(glora.path, tmp_path / "out.safetensors", base=lambda name: torch.zeros(32, 32))


def test_a_file_that_fails_is_not_there(dora: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuner.export import dora as conversion

    monkeypatch.setattr(conversion, "_row_norms", lambda weight: torch.ones(len(weight), 1))
    folder = tmp_path / "loras"
    folder.mkdir()
    with pytest.raises(TunerError, match="would not act as the adapter was trained"):
        export(dora.path, folder / "out.safetensors", base=dora.parameters.get)
    assert list(folder.iterdir()) == []


def test_an_untrained_adapter_passes(tmp_path: Path) -> None:
    """Its effect is nothing, so nothing can be told relative to it."""
    lora = make(RECIPES["LoRA"], tmp_path)
    tensors = load_file(lora.path)
    save_file({key: value * ("lora_B" not in key) for key, value in tensors.items()}, lora.path)
    for dialect in ("comfyui", "diffusers", "kohya"):
        export(lora.path, tmp_path / f"{dialect}.safetensors", dialect, base=lora.parameters.get)
