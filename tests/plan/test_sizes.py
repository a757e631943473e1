"""The sizes are the model's own."""

from tests.recipe import write_recipe
from tuner import files
from tuner.plan.sizes import Shape, shape


def test_flux_has_twelve_billion_parameters():
    assert Shape().num_parameters == 11_901_408_320


def test_counts_equal_those_of_the_model_itself():
    import torch
    from diffusers import FluxTransformer2DModel

    small = Shape(1, 2, 2, 16, 64, 24, 40, guidance_embeds=True)
    with torch.device("meta"):
        model = FluxTransformer2DModel(
            num_layers=1,
            num_single_layers=2,
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=64,
            joint_attention_dim=24,
            pooled_projection_dim=40,
            guidance_embeds=True,
            axes_dims_rope=(4, 6, 6),
        )
    assert small.num_parameters == sum(weight.numel() for weight in model.parameters())
    theirs = {
        (n, m.in_features, m.out_features) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)
    }
    assert theirs == {tuple(linear) for linear in small.linears()}


def test_shape_is_read_from_the_folder(tmp_path):
    settings = files.load_all(write_recipe(tmp_path)).settings
    assert shape(settings).width == 192
    assert shape(files.changed(settings, {"model.pretrained_model_name_or_path": "some/model"})).width == 3072


def test_the_shape_of_a_single_file(tmp_path):
    from tests.flux import whole

    path = whole.write_file(tmp_path / "flux.safetensors", whole.as_bfl(whole.tiny(guidance=False)))
    recipe = write_recipe(tmp_path, pretrained_model_name_or_path=str(path))
    found = shape(files.load_all(recipe).settings)
    assert (found.width, found.num_layers, found.num_single_layers) == (128, 2, 3)
    assert not found.guidance_embeds
