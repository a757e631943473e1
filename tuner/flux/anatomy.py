"""The classes inside diffusers' `FluxTransformer2DModel` by path: LyCORIS files choose layers by them."""

from __future__ import annotations

import re
from functools import cache

LINEAR = "Linear"
_CLASSES = {
    r"": "FluxTransformer2DModel",
    r"(single_)?transformer_blocks": "ModuleList",
    r"transformer_blocks\.\d+": "FluxTransformerBlock",
    r"single_transformer_blocks\.\d+": "FluxSingleTransformerBlock",
    r".+\.attn": "FluxAttention",
    r".+\.to_out": "ModuleList",
    r".+\.norm1(_context)?": "AdaLayerNormZero",
    r"single_.+\.norm": "AdaLayerNormZeroSingle",
    r".+\.ff(_context)?": "FeedForward",
    r".+\.net": "ModuleList",
    r".+\.net\.0": "GELU",
    r"norm_out": "AdaLayerNormContinuous",
    r"time_text_embed": "CombinedTimestepGuidanceTextProjEmbeddings",
    r"time_text_embed\.(timestep|guidance)_embedder": "TimestepEmbedding",
    r"time_text_embed\.text_embedder": "PixArtAlphaTextProjection",
}
CLASSES = tuple(dict.fromkeys([*_CLASSES.values(), LINEAR]))


@cache
def class_of(path: str) -> str:
    """Of a linear layer, whatever its precision, or of a module that holds one."""
    return next((name for pattern, name in _CLASSES.items() if re.fullmatch(pattern, path)), LINEAR)
