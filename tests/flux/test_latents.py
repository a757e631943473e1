import torch
from diffusers import FluxPipeline

from tuner.flux import latents as lat


def test_packing_equals_diffusers() -> None:
    latents = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    packed = lat.pack(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 16, 8, 12))
    assert torch.equal(lat.unpack(packed, 8, 12), latents)


def test_position_ids_equal_diffusers() -> None:
    theirs = FluxPipeline._prepare_latent_image_ids(1, 4, 6, "cpu", torch.float32)
    assert torch.equal(lat.image_ids(8, 12), theirs)
    assert not lat.text_ids(7).any()


def test_references_lie_beside_one_another_as_in_comfyui() -> None:
    """Wide 4 x 8 cells first at the corner, then below it; the tall one after them goes to the right."""
    rows = lat.reference_ids([(4, 8), (4, 8), (16, 4)])
    assert [one.shape for one in rows] == [(8, 3), (8, 3), (16, 3)]
    assert all((one[:, 0] == 1).all() for one in rows)
    assert [one[0, 1:].tolist() for one in rows] == [[0, 0], [2, 0], [0, 4]]
    assert rows[2][-1].tolist() == [1, 7, 5]


def test_two_references_of_one_size_never_overlap() -> None:
    first, second = lat.reference_ids([(8, 8), (8, 8)])
    assert not set(map(tuple, first.tolist())) & set(map(tuple, second.tolist()))
