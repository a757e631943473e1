"""Single files: our map of names against diffusers' own converter, sizes read off tensors, and refusals."""

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers

from tests.flux import whole
from tuner.errors import ModelMissing
from tuner.flux import single_file
from tuner.flux.weights import Weights


def read_all(path):
    pieces = single_file.pieces(path)
    weights = Weights(pieces, str(path))
    return {name: weights.read(name) for name in pieces}


def test_the_names_and_rows_are_those_of_diffusers_converter(tmp_path):
    """The converter assumes FLUX.1's width, so the made-up file has it too, with one block of each kind."""
    model = whole.tiny()
    bfl = whole.as_bfl(model)
    ours = read_all(whole.write_file(tmp_path / "flux.safetensors", bfl))
    # diffusers cuts linear1 after 3 x 3072 rows; at our toy width the same cut is made by hand.
    single = {name: bfl.pop(name) for name in list(bfl) if ".linear1." in name}
    for name, tensor in single.items():
        q, k, v, mlp = tensor.split((128, 128, 128, 512))
        pad = [torch.cat([part, part.new_zeros(3072 - 128, *part.shape[1:])]) for part in (q, k, v)]
        tail = torch.cat([mlp, mlp.new_zeros(12288 - 512, *mlp.shape[1:])])
        bfl[name] = torch.cat([*pad, tail])
    theirs = convert_flux_transformer_checkpoint_to_diffusers(dict(bfl))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor[: len(ours[name])]), name


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_every_weight_of_a_bfl_file_arrives(tmp_path, prefix):
    model = whole.tiny()
    path = whole.write_file(
        tmp_path / "flux.safetensors",
        whole.as_bfl(model),
        prefix,
        **{
            "vae.decoder.conv_in.weight": torch.zeros(2, 2),
            "text_encoders.t5xxl.shared.weight": torch.zeros(2, 2),
        },
    )
    found, expected = read_all(path), model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("prefix", ["", "transformer.", "model.diffusion_model."])
def test_a_file_in_diffusers_layout(tmp_path, prefix):
    model = whole.tiny()
    path = whole.write_file(tmp_path / "flux.safetensors", model.state_dict(), prefix)
    found = read_all(path)
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("layout", [whole.as_bfl, lambda model: model.state_dict()], ids=["bfl", "diffusers"])
@pytest.mark.parametrize("guidance", [True, False])
def test_the_config_is_read_off_the_sizes(tmp_path, layout, guidance):
    model = whole.tiny(guidance, width=256)
    path = whole.write_file(tmp_path / "flux.safetensors", layout(model))
    given = single_file.config(single_file.pieces(path), path)
    assert {name: model.config[name] for name in given} == given


def test_the_practice_models_heads_have_their_axes():
    from tuner.practice import parts

    model = parts.transformer()
    tensors = {
        name: (single_file.Piece(Entry(tuple(tensor.shape))),) for name, tensor in model.state_dict().items()
    }
    given = single_file.config(tensors, None)
    assert tuple(given["axes_dims_rope"]) == tuple(model.config.axes_dims_rope)
    assert given["num_attention_heads"] == model.config.num_attention_heads


class Entry:
    """As much of a header's entry as a size needs."""

    def __init__(self, shape):
        self.shape = shape


def test_a_lora_is_not_a_transformer(tmp_path):
    path = whole.write_file(tmp_path / "lora.safetensors", {"transformer.x.lora_A.weight": torch.zeros(2, 2)})
    with pytest.raises(ModelMissing, match="holds no FLUX.1 transformer"):
        single_file.pieces(path)


def test_a_part_of_a_transformer(tmp_path):
    bfl = {name: one for name, one in whole.as_bfl(whole.tiny()).items() if "vector_in" not in name}
    path = whole.write_file(tmp_path / "flux.safetensors", bfl)
    with pytest.raises(ModelMissing, match="only a part"):
        single_file.config(single_file.pieces(path), path)
