"""Our model of ComfyUI's loader knows what it knows, and skips what it skips."""

from __future__ import annotations

import pytest
import torch
from diffusers import FluxTransformer2DModel

from tests.export.adapters import linear_names
from tuner.export.loader import Patch, Slot, patched, patches, slots
from tuner.export.names import native

TO_Q = "transformer_blocks.0.attn.to_q"
A, B, ALPHA = torch.ones(4, 64), torch.ones(64, 4), torch.tensor(2.0)


def lora(stem: str, down: str = "lora_A", up: str = "lora_B") -> dict[str, torch.Tensor]:
    return {f"{stem}.{down}.weight": A, f"{stem}.{up}.weight": B, f"{stem}.alpha": ALPHA}


def test_every_layer_has_a_slot_and_the_exporter_sees_it_the_same_way() -> None:
    with torch.device("meta"):
        flux = FluxTransformer2DModel(guidance_embeds=True)
    modules = linear_names(flux)
    assert set(slots()) == set(modules)
    for module in modules:
        place, slot = native(module), slots()[module]
        assert place is not None
        rows = (slot.start, slot.start + slot.length) if slot.length else None
        assert (place.name, place.rows, place.halves_swapped) == (slot.parameter, rows, slot.turned)


@pytest.mark.parametrize(
    "stem",
    [
        f"transformer.{TO_Q}",
        "lycoris_transformer_blocks_0_attn_to_q",
        "lora_transformer_transformer_blocks_0_attn_to_q",
    ],
)
def test_spellings_of_diffusers_names(stem: str) -> None:
    (found,), strange = patches(lora(stem), "comfyui")
    assert (found.slot, strange) == (Slot("double_blocks.0.img_attn.qkv", 0, 1), [])


@pytest.mark.parametrize(
    "stem", ["diffusion_model.double_blocks.0.img_attn.qkv", "lora_unet_double_blocks_0_img_attn_qkv"]
)
def test_spellings_of_native_names(stem: str) -> None:
    (found,), strange = patches(lora(stem, "lora_down", "lora_up"), "comfyui")
    assert (found.slot, strange) == (Slot("double_blocks.0.img_attn.qkv"), [])


@pytest.mark.parametrize(
    "key",
    [
        f"base_model.model.{TO_Q}.lora_A.weight",
        f"{TO_Q}.lora_A.weight",
        "lora_unet_transformer_blocks_0_attn_to_q.lora_A.weight",
        f"transformer.{TO_Q}.lora_A.default.weight",
        f"transformer.{TO_Q}.lora_magnitude_vector",
        f"transformer.{TO_Q}.lora_B.bias",
        f"transformer.{TO_Q}.diff_b",
        f"transformer.{TO_Q}.on_input",
        f"transformer.{TO_Q}.oft_R.weight",
        "transformer.transformer_blocks.19.attn.to_q.lora_A.weight",
        "transformer.transformer_blocks.0.attn.norm_q.lora_A.weight",
    ],
)
def test_what_comfyui_skips(key: str) -> None:
    _, strange = patches({**lora(f"transformer.{TO_Q}"), key: A}, "comfyui")
    assert key in strange or strange == []  # a second lora_A of the same layer is no other key
    assert patches({key: A}, "comfyui") == ([], [key])


def test_half_a_lora_and_a_boft_without_alpha_do_not_load() -> None:
    assert patches({f"transformer.{TO_Q}.lora_A.weight": A}, "comfyui")[0] == []
    assert patches({f"transformer.{TO_Q}.oft_blocks": torch.zeros(1, 16, 4, 4)}, "comfyui")[0] == []


def test_without_alpha_the_scale_is_one() -> None:
    weight, slot = torch.zeros(64, 64, dtype=torch.float64), Slot("img_in")
    parts = {"lora_A.weight": A, "lora_B.weight": B}
    assert patched(Patch(slot, parts), weight)[0, 0] == 4
    assert patched(Patch(slot, {**parts, "alpha": ALPHA}), weight)[0, 0] == 2


def test_only_the_last_modulation_is_turned() -> None:
    weight, diff = torch.zeros(4, 2, dtype=torch.float64), torch.arange(8.0).view(4, 2)
    assert patched(Patch(Slot("x", turned=True), {"diff": diff}), weight).tolist() == [
        [4, 5],
        [6, 7],
        [0, 1],
        [2, 3],
    ]
    assert [module for module, slot in slots().items() if slot.turned] == ["norm_out.linear"]
