import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from tuner.flux.anatomy import CLASSES, class_of


def test_every_module_with_layers_has_the_class_that_the_model_gives_it() -> None:
    with torch.device("meta"):
        model = FluxTransformer2DModel(guidance_embeds=True)
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear):
            parts = path.split(".")
            for depth in range(len(parts) + 1):
                around = ".".join(parts[:depth])
                assert class_of(around) == type(model.get_submodule(around)).__name__
    assert set(CLASSES) <= {type(module).__name__ for module in model.modules()}
