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
