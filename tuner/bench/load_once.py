"""One loading of `bench load`, in a process of its own: `python -m tuner.bench.load_once SPEC`."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from typing import Any

import torch
from torch import nn

from tuner.flux import loading
from tuner.flux.targets import UNQUANTIZED
from tuner.quantization.catalog import precision
from tuner.quantization.frozen import FrozenLinear
from tuner.settings.memory import Memory
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.training import kept, models
from tuner.training.hardware import Hardware
from tuner.training.host import peak, reset_peak

CPU, BF16 = torch.device("cpu"), torch.bfloat16


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """See `load.WAYS`."""
    kept.LEAST_BYTES = sys.maxsize if spec["way"] == "plain" else 0
    settings = RunSettings(
        model=Model(pretrained_model_name_or_path=spec["model"], model_flavour="dev"),
        memory=Memory(base_model_precision=spec["precision"]),
    )
    quantize = precision(spec["precision"]).quantize
    assert quantize is not None
    quantize(torch.randn(256, 256), None, CPU, BF16)  # what is loaded for the first one is no part of it
    before, start = reset_peak(), time.monotonic()
    if spec["way"] == "store_only":
        model: nn.Module = _store_only(models.transformer_source(settings), spec["precision"])
    else:
        model = models.load_transformer(settings, Hardware(CPU, BF16))
    seconds, most, size = time.monotonic() - start, peak(), _num_bytes(model)
    return {
        "seconds": round(seconds, 2),
        "kept_gb": round(size / 1e9, 3),
        "extra_host_gb": round((most - before - size) / 1e9, 3),
        "outputs": None if spec["way"] == "store_only" else _outputs(model),
    }


def _store_only(source: loading.Source, name: str) -> nn.Module:
    """Every quantized layer goes into the store, and nowhere else."""
    quantize, unchanged = precision(name).quantize, loading.plain(BF16, CPU)
    assert quantize is not None

    def place(path: str, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
        return unchanged(path, weight, bias) if path in UNQUANTIZED else quantize(weight, bias, CPU, BF16)

    with kept.kept(source, name, BF16, place, lambda path: CPU, CPU) as (placed, _):

        def dropped(path: str, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
            layer = placed(path, weight, bias)
            if not isinstance(layer, FrozenLinear):
                return layer
            del layer
            gc.collect()  # the libraries' layers refer to themselves, and would wait for it
            return nn.Identity()

        return loading.transformer(source, BF16, CPU, dropped)


def _num_bytes(model: nn.Module) -> int:
    """Of all that the model holds, through the shells of quantized weights."""
    size = 0
    for module in model.modules():
        if isinstance(module, FrozenLinear):
            size += sum(tensor.nbytes for tensor in module.stored().values())
        else:
            size += sum(one.nbytes for one in module.parameters(recurse=False))
    return size


@torch.no_grad()
def _outputs(model: Any) -> str:
    """A hash of what the model answers to a fixed question."""
    random, config = torch.Generator().manual_seed(0), model.config

    def noise(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=random).to(BF16)

    made = model(
        hidden_states=noise(1, 16, config.in_channels),
        timestep=torch.tensor([0.5]).to(BF16),
        guidance=torch.tensor([1.0]).to(BF16),
        pooled_projections=noise(1, config.pooled_projection_dim),
        encoder_hidden_states=noise(1, 8, config.joint_attention_dim),
        txt_ids=torch.zeros(8, 3),
        img_ids=torch.zeros(16, 3),
        return_dict=False,
    )[0]
    return hashlib.blake2b(made.view(torch.uint8).numpy().tobytes(), digest_size=8).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")
