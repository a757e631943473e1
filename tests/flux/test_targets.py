import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from tuner.flux.targets import TARGETS

MODULES = {
    "mmdit": 190,
    "context": 76,
    "context+ffs": 114,
    "all": 266,
    "all+ffs": 419,
    "all+ffs+embedder": 420,
    "ai-toolkit": 495,
    "tiny": 2,
    "nano": 1,
}


@pytest.fixture(scope="module")
def linears() -> list[str]:
    with torch.device("meta"):
        model = FluxTransformer2DModel(guidance_embeds=True)
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def test_every_row_is_counted_here() -> None:
    assert MODULES.keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_the_module_count_on_the_whole_flux(name: str, linears: list[str]) -> None:
    endings = TARGETS[name]
    matched = [one for one in linears if any(one == end or one.endswith(f".{end}") for end in endings)]
    assert len(matched) == MODULES[name]
