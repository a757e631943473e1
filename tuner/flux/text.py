"""Captions to what the transformer reads: CLIP-L's pooled vector and T5-XXL's prompt embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TextEncoders:
    """Both encoders with their tokenizers; `num_tokens` is the length that T5 pads and cuts to."""

    tokenizer_1: Any
    encoder_1: torch.nn.Module
    tokenizer_2: Any
    encoder_2: torch.nn.Module
    num_tokens: int


@dataclass(frozen=True)
class Prompts:
    """`pooled` (B, P); `embeddings` (B, L, D); `mask` (B, L) bool, true at T5's tokens, false at padding."""

    pooled: Tensor
    embeddings: Tensor
    mask: Tensor


@torch.no_grad()
def encode(texts: list[str], encoders: TextEncoders) -> Prompts:
    """As diffusers' FluxPipeline computes them: the encoders themselves see the padding too."""
    device = next(encoders.encoder_2.parameters()).device
    clip = _tokens(encoders.tokenizer_1, texts, encoders.tokenizer_1.model_max_length)
    t5 = _tokens(encoders.tokenizer_2, texts, encoders.num_tokens)
    pooled = encoders.encoder_1(clip.input_ids.to(device), output_hidden_states=False).pooler_output
    embeddings = encoders.encoder_2(t5.input_ids.to(device), output_hidden_states=False)[0]
    return Prompts(pooled, embeddings, t5.attention_mask.bool())


def _tokens(tokenizer: Any, texts: list[str], length: int) -> Any:
    return tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
