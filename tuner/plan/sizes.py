"""The sizes of a transformer, read from its files where they are on this computer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuner.adapters.shape import Linear
from tuner.errors import ModelMissing
from tuner.flux import single_file
from tuner.plan import sources
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Shape:
    """The sizes of a FluxTransformer2DModel, named as in its config.json; the defaults are FLUX.1-dev's."""

    num_layers: int = 19
    num_single_layers: int = 38
    num_attention_heads: int = 24
    attention_head_dim: int = 128
    in_channels: int = 64
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = True

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim

    @property
    def num_blocks(self) -> int:
        return self.num_layers + self.num_single_layers

    @property
    def blocks(self) -> tuple[str, ...]:
        """Their paths in the model, in the order of a forward pass."""
        double = (f"transformer_blocks.{number}" for number in range(self.num_layers))
        single = (f"single_transformer_blocks.{number}" for number in range(self.num_single_layers))
        return (*double, *single)

    def linears(self) -> Iterator[Linear]:
        """Every linear layer with its path in the model."""
        width = self.width
        yield Linear("x_embedder", self.in_channels, width)
        yield Linear("context_embedder", self.joint_attention_dim, width)
        inputs = {"timestep": 256, "text": self.pooled_projection_dim}
        if self.guidance_embeds:
            inputs["guidance"] = 256
        for name, num_in in inputs.items():
            yield Linear(f"time_text_embed.{name}_embedder.linear_1", num_in, width)
            yield Linear(f"time_text_embed.{name}_embedder.linear_2", width, width)
        yield Linear("norm_out.linear", width, 2 * width)
        yield Linear("proj_out", width, self.in_channels)
        for number in range(self.num_layers):
            for path, num_in, num_out in _DOUBLE:
                yield Linear(f"transformer_blocks.{number}.{path}", num_in * width, num_out * width)
        for number in range(self.num_single_layers):
            for path, num_in, num_out in _SINGLE:
                yield Linear(f"single_transformer_blocks.{number}.{path}", num_in * width, num_out * width)

    @property
    def num_parameters(self) -> int:
        linears = sum(linear.num_in * linear.num_out + linear.num_out for linear in self.linears())
        return linears + self.num_norm_parameters

    @property
    def num_norm_parameters(self) -> int:
        return (4 * self.num_layers + 2 * self.num_single_layers) * self.attention_head_dim


_DOUBLE: tuple[Linear, ...] = (
    *(Linear(f"attn.{name}", 1, 1) for name in ("to_q", "to_k", "to_v", "to_out.0")),
    *(Linear(f"attn.{name}", 1, 1) for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")),
    *(Linear(f"{name}.linear", 1, 6) for name in ("norm1", "norm1_context")),
    *(Linear(f"{name}.net.0.proj", 1, 4) for name in ("ff", "ff_context")),
    *(Linear(f"{name}.net.2", 4, 1) for name in ("ff", "ff_context")),
)
_SINGLE: tuple[Linear, ...] = (
    *(Linear(f"attn.{name}", 1, 1) for name in ("to_q", "to_k", "to_v")),
    Linear("norm.linear", 1, 3),
    Linear("proj_mlp", 1, 4),
    Linear("proj_out", 5, 1),
)
"""The linear layers of a block, in multiples of the width."""


def shape(settings: RunSettings) -> Shape:
    """Read from the transformer's files where they are on this computer, else FLUX.1's own."""
    place, subfolder = sources.transformer_place(settings)
    folder = Path(place)
    own = replace(Shape(), guidance_embeds=settings.flavour.guidance_embeds)
    if single_file.is_single_file(place):
        given = single_file.config(single_file.pieces(folder), folder)
    elif folder.is_dir():
        given = _config(folder / (subfolder or "") / "config.json", place)
    else:
        return own
    return replace(own, **{name: given[name] for name in Shape.__dataclass_fields__ if name in given})


def _config(path: Path, place: str) -> dict[str, Any]:
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMissing(f"'{place}' is not a whole FLUX.1 model: '{path}' cannot be read.") from error
    return given
