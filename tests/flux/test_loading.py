"""The streaming load: the weights of diffusers' own loading, little memory beside them, plain refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import nn

from tests.flux import whole
from tests.tiny import write_tiny_flux
from tuner.errors import ModelMissing, TunerError
from tuner.flux import loading
from tuner.flux.loading import Source

CPU = torch.device("cpu")


def load(source, dtype=torch.float32, place=None):
    return loading.transformer(source, dtype, CPU, place)


@pytest.mark.parametrize("num_shards", [1, 4])
@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_folder_gives_what_diffusers_gives_bit_for_bit(tmp_path, num_shards, variant, dtype):
    place = whole.write_folder(whole.tiny(), tmp_path, num_shards, variant)
    ours = load(Source(str(place), "transformer", variant=variant), dtype)
    theirs = FluxTransformer2DModel.from_pretrained(
        place, subfolder="transformer", variant=variant, dtype=dtype
    )
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert one.dtype == dtype and torch.equal(one, other), name
    assert torch.equal(whole.outputs(ours), whole.outputs(theirs.eval()))
    assert dict(ours.config)["num_layers"] == 2
    assert not ours.training and not any(one.requires_grad for one in ours.parameters())


def test_the_root_of_a_folder(tmp_path):
    whole.tiny().save_pretrained(tmp_path)
    assert load(Source(str(tmp_path), None)).config.num_layers == 2


@pytest.mark.parametrize("layout", [whole.as_bfl, lambda model: model.state_dict()], ids=["bfl", "diffusers"])
@pytest.mark.parametrize("guidance", [True, False])
def test_a_single_file_acts_like_the_folder(tmp_path, layout, guidance):
    model = whole.tiny(guidance)
    path = whole.write_file(tmp_path / "flux.safetensors", layout(model), "model.diffusion_model.")
    assert torch.equal(whole.outputs(load(Source(str(path), None))), whole.outputs(model))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_an_fp8_file_holds_what_fp8_holds(tmp_path, dtype):
    tensors = {name: one.to(dtype) for name, one in whole.as_bfl(whole.tiny()).items()}
    loaded = load(Source(str(whole.write_file(tmp_path / "flux.safetensors", tensors)), None), torch.bfloat16)
    expected = tensors["double_blocks.0.img_attn.proj.weight"].bfloat16()
    assert torch.equal(loaded.transformer_blocks[0].attn.to_out[0].weight, expected)


def test_a_scaled_fp8_file_is_near_the_plain_one(tmp_path):
    model = whole.tiny()
    tensors = whole.as_scaled_fp8(whole.as_bfl(model))
    loaded = load(Source(str(whole.write_file(tmp_path / "flux.safetensors", tensors)), None))
    for name, expected in model.state_dict().items():
        assert (loaded.state_dict()[name] - expected).norm() <= 0.04 * expected.norm(), name


def test_weights_that_are_packed_are_refused(tmp_path):
    tensors = {
        name: torch.zeros(one.shape, dtype=torch.uint8) for name, one in whole.tiny().state_dict().items()
    }
    path = whole.write_file(tmp_path / "flux.safetensors", tensors)
    with pytest.raises(TunerError, match="keeps its weights as U8"):
        load(Source(str(path), None))


def test_place_is_asked_for_each_linear_layer_with_the_file_own_numbers(tmp_path):
    model = whole.tiny().to(torch.bfloat16)
    place = whole.write_folder(model, tmp_path, 3)
    asked = {}

    def put(path, weight, bias):
        asked[path] = (weight, bias)
        return loading.plain(torch.float32, CPU)(path, weight, bias)

    loaded = load(Source(str(place), "transformer"), place=put)
    expected = {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear)}
    assert asked.keys() == expected.keys()
    for name, (weight, bias) in asked.items():
        assert torch.equal(weight, expected[name].weight) and torch.equal(bias, expected[name].bias)
    assert loaded.transformer_blocks[0].attn.norm_q.weight.dtype == torch.float32


def test_originals_are_read_again(tmp_path):
    model = whole.tiny()
    source = Source(str(whole.write_file(tmp_path / "flux.safetensors", whole.as_bfl(model))), None)
    read = loading.originals(source)
    assert torch.equal(
        read("single_transformer_blocks.1.proj_mlp"), model.single_transformer_blocks[1].proj_mlp.weight
    )


def test_hub_names_fetch_the_listed_files_and_no_others(tmp_path, monkeypatch):
    folder = whole.write_folder(whole.tiny(), tmp_path, 3)
    asked = []

    def fetch(repo, name, *, subfolder, revision):
        asked.append((repo, name, subfolder, revision))
        path = folder / subfolder / name
        if not path.is_file():
            raise LocalEntryNotFoundError("no such entry")
        return str(path)

    monkeypatch.setattr(loading, "hf_hub_download", fetch)
    assert load(Source("owner/flux", "transformer", "main")).config.num_layers == 2
    shards = sorted(path.name for path in (folder / "transformer").glob("*.safetensors"))
    names = ["config.json", "diffusion_pytorch_model.safetensors.index.json", *shards]
    assert asked == [("owner/flux", name, "transformer", "main") for name in names]


def test_a_hub_name_that_cannot_be_reached(monkeypatch):
    def fetch(*_, **__):
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(loading, "hf_hub_download", fetch)
    with pytest.raises(ModelMissing, match="'owner/flux' was not found on this computer"):
        load(Source("owner/flux", "transformer"))


def test_a_gated_model_is_told_as_such(monkeypatch):
    from tuner.errors import ModelGated, explain

    def fetch(*_, **__):
        raise OSError("403: you are trying to access a gated repo")

    monkeypatch.setattr(loading, "hf_hub_download", fetch)
    with pytest.raises(OSError) as caught:
        load(Source("owner/flux", "transformer"))
    assert isinstance(explain(caught.value), ModelGated)


def refused(source, kind=ModelMissing):
    with pytest.raises(kind) as caught:
        load(source)
    return str(caught.value)


def test_no_such_part(tmp_path):
    assert "holds no folder 'transformer'" in refused(Source(str(tmp_path), "transformer"))


def test_a_missing_shard(tmp_path):
    place = whole.write_folder(whole.tiny(), tmp_path, 3)
    gone = sorted((place / "transformer").glob("*.safetensors"))[1]
    gone.unlink()
    assert gone.name in refused(Source(str(place), "transformer"))


def test_a_missing_tensor(tmp_path):
    model = whole.tiny()
    tensors = model.state_dict()
    del tensors["transformer_blocks.1.ff.net.2.bias"]
    path = whole.write_file(tmp_path / "flux.safetensors", tensors)
    assert "'transformer_blocks.1.ff.net.2.bias'" in refused(Source(str(path), None))


def test_a_config_of_another_size(tmp_path):
    place = whole.write_folder(whole.tiny(), tmp_path, 1)
    config = place / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "joint_attention_dim": 96}))
    assert "does not fit its config.json" in refused(Source(str(place), "transformer"))


@pytest.mark.parametrize(("length", "said"), [(0, "damaged"), (5, "damaged"), (-1, "not complete")])
def test_a_cut_weight_file(tmp_path, length, said):
    place = whole.write_folder(whole.tiny(), tmp_path, 1)
    path = place / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert said in refused(Source(str(place), "transformer"), TunerError)


def test_text_encoders_take_the_layers_that_are_put_in_their_place(tmp_path):
    folder = write_tiny_flux(tmp_path)
    asked = []

    def put(path, weight, bias):
        asked.append(path)
        return loading.plain(torch.float32, CPU)(path, weight, bias)

    encoders = loading.text_encoders(Source(str(folder), None), torch.float32, CPU, 24, (None, put))
    assert asked and all(".DenseReluDense." in path or ".SelfAttention." in path for path in asked)
    assert "SelfAttention" in repr(encoders.encoder_2)


MEASURE = """
import resource, sys, torch
from tuner.flux import loading
from tuner.quantization import catalog

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

cpu, quantize = torch.device("cpu"), catalog.precision(sys.argv[2]).quantize
def place(path, weight, bias):
    return quantize(weight, bias, cpu, torch.bfloat16)
quantize(torch.randn(256, 256), None, cpu, torch.bfloat16)
before = peak()
model = loading.transformer(loading.Source(sys.argv[1], "transformer"), torch.bfloat16, cpu, place)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts kilobytes on Linux")
def test_little_memory_is_needed_beside_the_quantized_weights(tmp_path):
    """A model of 76 M parameters, 152 MB in bf16, becomes 76 MB; its largest layer has 4.7 M, 9 MB."""
    with torch.device("meta"):
        empty = FluxTransformer2DModel(num_layers=2, num_single_layers=4, num_attention_heads=7)
    model = empty.to(torch.bfloat16).to_empty(device="cpu")
    num_parameters = sum(one.numel() for one in model.parameters())
    place = whole.write_folder(model, tmp_path, 3)
    del model
    root = Path(__file__).parents[2]
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(place), "int8-quanto"],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(measured.stdout) < num_parameters * 1.01 + 100e6
