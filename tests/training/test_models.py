"""The models of a run: what is quantized and what is not, in which formats, with which attention."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tuner import files
from tuner.flux.attention import BACKENDS
from tuner.flux.targets import UNQUANTIZED
from tuner.quantization import catalog
from tuner.quantization.frozen import FrozenLinear, dequantized
from tuner.settings.run import RunSettings
from tuner.training import models
from tuner.training.encode import load_vae
from tuner.training.hardware import Hardware

CPU = torch.device("cpu")
FLOAT32, BF16 = Hardware(CPU, torch.float32), Hardware(CPU, torch.bfloat16)
QUANTIZED = [name for name in catalog.working() if catalog.precision(name).quantize]


def with_memory(settings: RunSettings, **values: object) -> RunSettings:
    return replace(settings, memory=replace(settings.memory, **values))


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear)}


@pytest.mark.parametrize("name", QUANTIZED)
def test_everything_but_the_named_layers_is_quantized(settings: RunSettings, name: str) -> None:
    transformer = models.load_transformer(with_memory(settings, base_model_precision=name), BF16)
    plain = {path for path, layer in linears(transformer).items() if not isinstance(layer, FrozenLinear)}
    assert plain == set(UNQUANTIZED)
    assert len(linears(transformer)) > 50
    assert not any(one.requires_grad for one in transformer.parameters())


@pytest.mark.parametrize("via", ["cpu", "accelerator", "pipeline"])
def test_where_it_is_quantized_makes_no_difference(settings: RunSettings, via: str) -> None:
    chosen = with_memory(settings, base_model_precision="int8-quanto", quantize_via=via)
    usual = with_memory(settings, base_model_precision="int8-quanto")
    ours, theirs = (linears(models.load_transformer(one, BF16)) for one in (chosen, usual))
    assert all(torch.equal(dequantized(ours[path]), dequantized(theirs[path])) for path in theirs)


@pytest.mark.parametrize(
    ("hardware", "precision", "rest", "expected"),
    [
        (BF16, "no_change", "fp32", torch.bfloat16),
        (BF16, "int8-quanto", "bf16", torch.bfloat16),
        (BF16, "int8-quanto", "fp32", torch.float32),
        (FLOAT32, "int8-quanto", "bf16", torch.float32),
    ],
)
def test_the_format_of_the_rest(
    settings: RunSettings, hardware: Hardware, precision: str, rest: str, expected: torch.dtype
) -> None:
    chosen = with_memory(settings, base_model_precision=precision, base_model_default_dtype=rest)
    transformer = models.load_transformer(chosen, hardware)
    assert transformer.x_embedder.weight.dtype == expected
    assert transformer.transformer_blocks[0].attn.norm_q.weight.dtype == expected


@pytest.mark.parametrize("which", [1, 2])
def test_only_the_chosen_text_encoder_is_quantized(settings: RunSettings, which: int) -> None:
    encoders = models.load_text_encoders(
        with_memory(settings, **{f"text_encoder_{which}_precision": "nf4-bnb"}), BF16
    )
    found = [
        any(isinstance(one, FrozenLinear) for one in encoder.modules())
        for encoder in (encoders.encoder_1, encoders.encoder_2)
    ]
    assert found == [which == 1, which == 2]


@pytest.mark.parametrize("name", BACKENDS)
def test_the_kernel_of_attention(settings: RunSettings, name: str) -> None:
    chosen = files.changed(settings, {"model.attention_mechanism": name})
    transformer = models.load_transformer(chosen, FLOAT32)
    assert transformer.transformer_blocks[0].attn.processor._attention_backend.value == BACKENDS[name]


def test_the_same_weights_from_a_file_of_its_own(settings: RunSettings, flux, tmp_path) -> None:
    """As somebody has it who keeps the transformer in one file and the rest in a folder."""
    from safetensors.torch import save_file

    weights = load_file(flux / "transformer" / "diffusion_pytorch_model.safetensors")
    save_file(
        {f"model.diffusion_model.{name}": one for name, one in weights.items()}, tmp_path / "own.safetensors"
    )
    chosen = files.changed(
        settings,
        {
            "model.pretrained_transformer_model_name_or_path": str(tmp_path / "own.safetensors"),
            "model.pretrained_transformer_subfolder": "none",
        },
    )
    ours, theirs = models.load_transformer(chosen, FLOAT32), models.load_transformer(settings, FLOAT32)
    assert all(torch.equal(one, theirs.state_dict()[name]) for name, one in ours.state_dict().items())
    assert dict(ours.config)["axes_dims_rope"] == tuple(theirs.config.axes_dims_rope)


def test_pictures_are_encoded_in_tiles_and_one_by_one_where_asked(settings: RunSettings, monkeypatch) -> None:
    monkeypatch.setattr("tuner.training.encode.VAE_TILE_PX", 64)
    whole = load_vae(settings, FLOAT32)
    tiled = load_vae(with_memory(settings, vae_enable_tiling=True, vae_enable_slicing=True), FLOAT32)
    sizes: list[torch.Size] = []
    tiled.encoder.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape))
    pictures = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        ours, theirs = (vae.encode(pictures).latent_dist.mean for vae in (tiled, whole))
    assert {tuple(size) for size in sizes} == {(1, 3, h, w) for h in (64, 32) for w in (64, 32)}
    assert ours.shape == theirs.shape
