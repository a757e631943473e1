"""LoRA files of every trainer act as they act where they come from, and no key is lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.export.adapters import linear_names, tiny_transformer
from tests.export.algorithms import changes_of
from tuner.adapters.lora_file import named
from tuner.errors import CheckpointMismatch
from tuner.export import dialects, names
from tuner.export.foreign import as_ours, with_norms
from tuner.export.write import export

FILE = Path("other.safetensors")
RANK = 3


@pytest.fixture(scope="module")
def ours() -> dict[str, Tensor]:
    """A LoRA on every linear layer, with another alpha for each."""
    transformer, dice, made = tiny_transformer(), torch.Generator().manual_seed(5), {}
    for number, module in enumerate(linear_names(transformer, ("",))):
        rows, columns = transformer.get_submodule(module).weight.shape
        made[f"transformer.{module}.lora_A.weight"] = torch.randn(RANK, columns, generator=dice)
        made[f"transformer.{module}.lora_B.weight"] = torch.randn(rows, RANK, generator=dice)
        made[f"transformer.{module}.alpha"] = torch.tensor(1.0 + number % 4)
    return made


def effects(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is added to each layer."""
    found = {}
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            up, alpha = tensors[f"{stem}.lora_B.weight"], tensors[f"{stem}.alpha"]
            found[stem] = alpha / len(down) * up @ down
    return found


def same(read: dict[str, Tensor], ours: dict[str, Tensor]) -> bool:
    got, wanted = effects(read), effects(ours)
    return got.keys() == wanted.keys() and all(
        torch.allclose(got[stem], wanted[stem], atol=1e-5) for stem in wanted
    )


def flat(prefix: str) -> Callable[[str, str], str]:
    return lambda module, suffix: f"{prefix}{module.replace('.', '_')}.{suffix}"


LAYOUTS: dict[str, tuple[Callable[[str, str], str], dict[str, str]]] = {
    "diffusers, ai-toolkit": (lambda module, suffix: f"transformer.{module}.{suffix}", {}),
    "peft": (
        lambda module, suffix: f"base_model.model.{module}.{suffix}",
        {"lora_A.weight": "lora_A.default.weight", "lora_B.weight": "lora_B.default.weight"},
    ),
    "OneTrainer": (
        flat("lora_transformer_"),
        {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"},
    ),
    "underscores": (
        flat("lora_unet_"),
        {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"},
    ),
    "bare": (lambda module, suffix: f"{module}.{suffix}", {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_by_the_names_of_diffusers(layout: str, ours: dict[str, Tensor]) -> None:
    name, words = LAYOUTS[layout]
    given = {}
    for key, tensor in ours.items():
        module, suffix = key.removeprefix("transformer."), ""
        suffix = next(one for one in ("lora_A.weight", "lora_B.weight", "alpha") if module.endswith(one))
        given[name(module.removesuffix(f".{suffix}"), words.get(suffix, suffix))] = tensor
    assert same(as_ours(given, FILE), ours)


@pytest.mark.parametrize(
    ("prefix", "down", "up", "dots"),
    [
        ("lora_unet_", "lora_down.weight", "lora_up.weight", False),
        ("diffusion_model.", "lora_A.weight", "lora_B.weight", True),
    ],
)
def test_layers_that_share_a_matrix(prefix: str, down: str, up: str, dots: bool) -> None:
    """As kohya and ComfyUI train it: one A for q, k and v."""
    dice, width = torch.Generator().manual_seed(1), 8
    shapes = {"double_blocks.0.img_attn.qkv": 3, "single_blocks.2.linear1": 7, "final_layer.linear": 1}
    given, wanted = {}, {}
    for native, parts in shapes.items():
        left, right = (
            torch.randn(parts * width, RANK, generator=dice),
            torch.randn(RANK, width, generator=dice),
        )
        stem = prefix + (native if dots else native.replace(".", "_"))
        given |= {f"{stem}.{down}": right, f"{stem}.{up}": left, f"{stem}.alpha": torch.tensor(2.0)}
        wanted[native] = 2 / RANK * left @ right
    read = effects(as_ours(given, FILE))
    assert len(read) == 3 + 4 + 1
    for stem, effect in read.items():
        place = names.native_of(stem.removeprefix("transformer."))
        start, end = place.rows or (0, 1)
        assert torch.allclose(effect, wanted[place.name][start * width : end * width], atol=1e-6)


@pytest.mark.parametrize("dialect", ["comfyui", "kohya"])
def test_our_own_exports_come_back(dialect: str, ours: dict[str, Tensor], tmp_path: Path) -> None:
    """In kohya's layout as small as they were: the ranks of other parts are left out."""
    from safetensors.torch import load_file, save_file

    save_file(ours, tmp_path / "source.safetensors")
    path = export(tmp_path / "source.safetensors", tmp_path / "out.safetensors", dialect).path
    read = as_ours(load_file(path), path)
    assert same(read, ours)
    assert {len(one) for key, one in read.items() if key.endswith("lora_A.weight")} == {RANK}
    parameters = tiny_transformer().state_dict()
    assert changes_of(path, dialect, parameters)


def test_ranks_that_differ_become_the_largest_without_another_effect() -> None:
    stems = [f"transformer.transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k")]
    given = {}
    for stem, rank in zip(stems, (2, 5), strict=True):
        given |= {
            f"{stem}.lora_A.weight": torch.randn(rank, 8),
            f"{stem}.lora_B.weight": torch.randn(8, rank),
        }
    read = as_ours(given, FILE)
    assert (
        len(read[f"{stems[0]}.lora_A.weight"]) == 5 and read[f"{stems[0]}.lora_A.weight"][2:].abs().sum() > 0
    )
    got, wanted = effects(named(read)), effects(named(given))
    assert all(torch.allclose(got[stem], wanted[stem], atol=1e-6) for stem in stems)


def test_every_key_is_accounted_for() -> None:
    layer = "transformer.transformer_blocks.0.attn.to_q"
    good = {f"{layer}.lora_A.weight": torch.ones(2, 4), f"{layer}.lora_B.weight": torch.ones(4, 2)}
    encoders = {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 4)}
    assert as_ours({**good, **encoders}, FILE).keys() == as_ours(good, FILE).keys()
    with pytest.raises(
        CheckpointMismatch, match="1 of 3 keys that no layer of FLUX.1 has, the first is 'lora_unet_x"
    ):
        as_ours({**good, "lora_unet_x.alpha": torch.tensor(1.0)}, FILE)
    with pytest.raises(CheckpointMismatch, match="cannot be taken apart"):
        as_ours({"lora_unet_double_blocks_0_img_attn_qkv.lokr_w1": torch.ones(2, 2)}, FILE)


def test_lycoris_keys_are_ours_already() -> None:
    given = {
        "lycoris_transformer_blocks_0_attn_to_q.lokr_w1": torch.ones(2, 2),
        "lycoris_transformer_blocks_0_attn_to_q.dora_scale": torch.ones(2, 1),
        "lycoris_norm_out_linear.diff": torch.ones(2, 2),
    }
    assert as_ours(given, FILE) == given
    renamed = as_ours({"lora_unet_transformer_blocks_0_attn_to_q.lokr_w1": torch.ones(2, 2)}, FILE)
    assert list(renamed) == ["lycoris_transformer_blocks_0_attn_to_q.lokr_w1"]


def test_the_rank_is_known_from_the_header() -> None:
    qkv, one, linear1 = (
        f"lora_unet_{name}.lora_down.weight"
        for name in ("double_blocks_0_img_attn_qkv", "double_blocks_0_img_mlp_0", "single_blocks_0_linear1")
    )
    assert dialects.rank({qkv: (12, 8), one: (4, 8), linear1: (16, 8)}, FILE) == 4
    assert dialects.rank({qkv: (12, 8), linear1: (16, 8)}, FILE) == 4
    assert dialects.rank({qkv: (12, 8), one: (12, 8), linear1: (12, 8)}, FILE) == 12
    assert dialects.rank({qkv: (12, 8)}, FILE) == 12
    assert dialects.rank({}, FILE) == 0


def test_norms_of_layers_that_share_a_matrix_are_shared_out() -> None:
    stem, scale = "lora_unet_double_blocks_0_img_attn_qkv", torch.arange(12.0)[:, None]
    given = {
        f"{stem}.lora_down.weight": torch.ones(2, 4),
        f"{stem}.lora_up.weight": torch.ones(12, 2),
        f"{stem}.dora_scale": scale,
    }
    read = with_norms(as_ours(given, FILE), torch.zeros, None)
    assert torch.equal(
        read["transformer.transformer_blocks.0.attn.to_k.lora_magnitude_vector"], scale[4:8].flatten()
    )
    assert not any(key.endswith("dora_scale") for key in read)


def test_a_lora_gets_the_norms_that_keep_its_effect() -> None:
    stem, weight = "transformer.transformer_blocks.0.attn.to_q", torch.randn(4, 5)
    given = {f"{stem}.lora_A.weight": torch.randn(2, 5), f"{stem}.lora_B.weight": torch.randn(4, 2)}
    norms = with_norms(given, lambda module: weight, None)[f"{stem}.lora_magnitude_vector"]
    changed = weight + given[f"{stem}.lora_B.weight"] @ given[f"{stem}.lora_A.weight"]
    assert torch.allclose(norms, changed.norm(dim=1))


def test_norms_of_columns_are_refused() -> None:
    stem = "transformer.transformer_blocks.0.attn.to_q"
    given = {f"{stem}.lora_A.weight": torch.ones(2, 5), f"{stem}.lora_B.weight": torch.ones(4, 2)}
    with pytest.raises(CheckpointMismatch, match="works on columns at 'transformer_blocks.0.attn.to_q'"):
        with_norms({**given, f"{stem}.dora_scale": torch.ones(1, 5)}, torch.zeros, None)


def test_alpha_and_norms_stay_with_their_product() -> None:
    stem = "lora_unet_transformer_blocks_0_attn_to_q"
    given = {f"{stem}.{one}": torch.ones(2, 2) for one in ("lokr_w1", "lokr_w2", "dora_scale")}
    read = as_ours({**given, f"{stem}.alpha": torch.tensor(1.0)}, FILE)
    ours = "lycoris_transformer_blocks_0_attn_to_q"
    assert read.keys() == {f"{ours}.{one}" for one in ("lokr_w1", "lokr_w2", "dora_scale", "alpha")}
