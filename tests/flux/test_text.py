"""Prompts as diffusers' own pipeline makes them, and which of their tokens are words."""

from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from tests.tiny import write_tiny_flux
from tuner.flux import text

TEXTS = ["a red house", ""]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FluxPipeline:
    folder: Path = write_tiny_flux(tmp_path_factory.mktemp("flux"))
    return FluxPipeline.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def prompts(pipeline: FluxPipeline) -> text.Prompts:
    return text.encode(
        TEXTS,
        text.TextEncoders(
            pipeline.tokenizer, pipeline.text_encoder, pipeline.tokenizer_2, pipeline.text_encoder_2, 12
        ),
    )


def test_embeddings_equal_the_pipelines(pipeline: FluxPipeline, prompts: text.Prompts) -> None:
    with torch.no_grad():
        rows, pooled, _ = pipeline.encode_prompt(TEXTS, TEXTS, max_sequence_length=12)
    assert torch.equal(prompts.embeddings, rows) and torch.equal(prompts.pooled, pooled)


def test_the_mask_covers_the_words_and_their_end(pipeline: FluxPipeline, prompts: text.Prompts) -> None:
    assert prompts.mask.shape == (2, 12) and prompts.mask.dtype == torch.bool
    lengths = [len(pipeline.tokenizer_2(one).input_ids) for one in TEXTS]
    assert prompts.mask.sum(1).tolist() == lengths and lengths[0] > lengths[1] >= 1
    assert prompts.mask[0, : lengths[0]].all()
