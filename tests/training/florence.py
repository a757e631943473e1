"""A tiny Florence-2 with random weights, laid into a folder as the real one is."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import (
    BartConfig,
    BartTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)
from transformers.models.clip import CLIPImageProcessorPil
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>")
SIDE = 64


def make(folder: Path) -> Path:
    """Says nonsense, and always the same of the same picture."""
    torch.manual_seed(0)
    processor = _processor()
    model = Florence2ForConditionalGeneration(_config(processor.tokenizer)).eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _processor() -> Florence2Processor:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate((*MARKS, *letters))}
    tokenizer = BartTokenizer(vocab=vocabulary, merges=[], extra_special_tokens={"image_token": "<image>"})
    images = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    images.image_seq_length = (SIDE // 32) ** 2 + 1
    return Florence2Processor(images, tokenizer)


def _config(tokenizer: BartTokenizer) -> Florence2Config:
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=128,
    )
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1),
        embed_dim=(8, 8, 8, 16),
        num_heads=(1, 1, 1, 2),
        num_groups=(1, 1, 1, 2),
        window_size=4,
        projection_dim=32,
    )
    return Florence2Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_id=tokenizer.image_token_id
    )
