"""What `flux_lora_target` means: module-name endings of diffusers' `FluxTransformer2DModel`, one row a
choice.

A module is trained when its path equals an ending or ends with "." + the ending (PEFT's rule). `proj_out`
therefore also catches the transformer's own last layer, and `norm.linear` just the single blocks.
"""

from __future__ import annotations

_IMAGE = ("to_k", "to_q", "to_v", "to_out.0")
_CONTEXT = ("add_k_proj", "add_q_proj", "add_v_proj", "to_add_out")
_CONTEXT_FEED_FORWARD = ("ff_context.net.0.proj", "ff_context.net.2")
_FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", *_CONTEXT_FEED_FORWARD, "proj_mlp", "proj_out")
_ALL = (*_IMAGE, *_CONTEXT)

TARGETS: dict[str, tuple[str, ...]] = {
    "mmdit": _IMAGE,
    "context": _CONTEXT,
    "context+ffs": (*_CONTEXT, *_CONTEXT_FEED_FORWARD),
    "all": _ALL,
    "all+ffs": (*_ALL, *_FEED_FORWARD),
    "all+ffs+embedder": (*_ALL, *_FEED_FORWARD, "x_embedder"),
    "ai-toolkit": (*_ALL, *_FEED_FORWARD, "norm.linear", "norm1.linear", "norm1_context.linear"),
    "tiny": ("single_transformer_blocks.7.proj_out", "single_transformer_blocks.20.proj_out"),
    "nano": ("single_transformer_blocks.7.proj_out",),
}
SLIDER = _IMAGE
"""What `slider_lora_target` trains: the layers that see the picture."""


def names() -> tuple[str, ...]:
    return tuple(TARGETS)


UNQUANTIZED = ("x_embedder", "context_embedder", "proj_out")
"""The linear layers that stay as they are when the transformer is quantized: its ways in and its way out."""

MODULATION = (".norm.linear", ".norm1.linear", ".norm1_context.linear", "norm_out.linear")
"""The linear layers that act on one vector a sample instead of on its tokens: a quarter of the model."""


def is_modulation(path: str) -> bool:
    """Whether a module of FluxTransformer2DModel is a modulation layer."""
    return path.endswith(MODULATION)
