"""Every Linear layer of FLUX.1 has a name that ComfyUI knows, and nothing else has."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from tests.export.adapters import linear_names
from tuner.export import names
from tuner.export.names import Native, native
from tuner.flux.targets import TARGETS


@pytest.fixture(scope="module")
def flux() -> FluxTransformer2DModel:
    """FLUX.1-dev whole, without memory."""
    with torch.device("meta"):
        return FluxTransformer2DModel(guidance_embeds=True)


def test_every_linear_layer_is_known_once(flux: FluxTransformer2DModel) -> None:
    modules = linear_names(flux)
    natives = [native(module) for module in modules]
    assert len(modules) == 19 * 14 + 38 * 6 + 10
    assert None not in natives and len(set(natives)) == len(modules)


def test_parts_of_fused_matrices_fill_them(flux: FluxTransformer2DModel) -> None:
    """Rows follow each other without gap or overlap, and each part has as many as its module."""
    parts: dict[str, list[tuple[int, int]]] = {}
    for module in linear_names(flux):
        place = native(module)
        if place is not None and place.rows is not None:
            parts.setdefault(place.name, []).append(place.rows)
            assert (place.rows[1] - place.rows[0]) * 3072 == flux.get_submodule(module).weight.shape[0]
    assert len(parts) == 19 * 2 + 38
    for name, rows in parts.items():
        starts, ends = zip(*sorted(rows), strict=True)
        assert (0, *ends) == (*starts, 7 if name.startswith("single") else 3)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_list_can_be_exported(target: str, flux: FluxTransformer2DModel) -> None:
    modules = linear_names(flux, TARGETS[target])
    assert modules
    assert None not in map(native, modules)


def test_nothing_but_linear_layers_is_known(flux: FluxTransformer2DModel) -> None:
    others = [name for name, module in flux.named_modules() if not isinstance(module, nn.Linear)]
    assert [name for name in others if native(name)] == []


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("transformer_blocks.18.attn.add_v_proj", Native("double_blocks.18.txt_attn.qkv", (2, 3))),
        ("transformer_blocks.0.ff_context.net.0.proj", Native("double_blocks.0.txt_mlp.0")),
        ("single_transformer_blocks.37.proj_mlp", Native("single_blocks.37.linear1", (3, 7))),
        ("single_transformer_blocks.2.proj_out", Native("single_blocks.2.linear2")),
        ("proj_out", Native("final_layer.linear")),
        ("norm_out.linear", Native("final_layer.adaLN_modulation.1", halves_swapped=True)),
        ("transformer_blocks.19.attn.to_q", None),
        ("transformer_blocks.01.attn.to_q", None),
        ("single_transformer_blocks.0.attn.to_out.0", None),
        ("transformer_blocks.0.proj_mlp", None),
    ],
)
def test_single_names(module: str, place: Native | None) -> None:
    assert native(module) == place


def test_the_spellings_of_a_layer() -> None:
    module = "single_transformer_blocks.3.attn.to_k"
    assert names.stem(module) == "transformer.single_transformer_blocks.3.attn.to_k"
    assert names.lycoris_stem(module) == "lycoris_single_transformer_blocks_3_attn_to_k"
    assert names.native_stem(module) == "diffusion_model.single_blocks.3.linear1"
    assert names.kohya_stem(module) == "lora_unet_single_blocks_3_linear1"


def test_lycoris_names_lead_back(flux: FluxTransformer2DModel) -> None:
    for module in linear_names(flux):
        assert names.module_of_lycoris(names.lycoris_stem(module)) == module
    for name in ("transformer_blocks_0_attn_to_q", "lycoris_transformer_blocks_19_attn_to_q", "lycoris_norm"):
        assert names.module_of_lycoris(name) is None


def test_names_metadata_and_catalog_need_no_torch() -> None:
    code = "import sys; from tuner.export import catalog, metadata, names; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output == "False\n"
