"""Captions by Florence-2: the model is loaded when the first one is asked for, and freed behind the last."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from tuner.dataset.decoding import PictureBroken, decode
from tuner.errors import Advice, ModelMissing
from tuner.settings.request import FLORENCE, CaptionRequest
from tuner.training.hardware import free_memory

NUM_BEAMS = 3
"""As in Florence-2's own examples."""


def captions(pictures: Sequence[Path], request: CaptionRequest) -> Generator[tuple[Path, str], None, None]:
    """Each picture with its caption as soon as it is there; closing the iterator frees the model.

    Raises ModelMissing where there is no Florence-2, PictureBroken for a file that cannot be opened.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor, model = _load(request.model, device)
    try:
        for path in pictures:
            yield path, _caption(_open(path), request, processor, model)
    finally:
        del processor, model
        free_memory(device)


@torch.inference_mode()
def _caption(
    image: Image.Image,
    request: CaptionRequest,
    processor: Florence2Processor,
    model: Florence2ForConditionalGeneration,
) -> str:
    """One line of text."""
    asked = processor(images=image, text=request.instruction, return_tensors="pt")
    tokens = model.generate(
        **asked.to(model.device, model.dtype),
        max_new_tokens=request.max_tokens,
        num_beams=NUM_BEAMS,
        do_sample=False,
    )
    (text,) = processor.batch_decode(tokens, skip_special_tokens=True)
    return " ".join(text.split())


def _open(path: Path) -> Image.Image:
    try:
        return decode(path.read_bytes())
    except (OSError, PictureBroken) as error:
        raise PictureBroken(f"'{path}' cannot be opened. {error}") from error


def _load(place: str, device: torch.device) -> tuple[Florence2Processor, Florence2ForConditionalGeneration]:
    """From a folder, without a look at the network, or from the hub by its name."""
    local = Path(place).is_dir()
    if not local and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", place):
        raise ModelMissing(f"There is no folder '{place}' with a Florence-2 in it.", _ADVICE)
    try:
        processor = Florence2Processor.from_pretrained(place, local_files_only=local)
        model, report = Florence2ForConditionalGeneration.from_pretrained(
            place, local_files_only=local, output_loading_info=True, dtype=_dtype(device)
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelMissing(f"'{place}' holds no Florence-2 that can be loaded.", _ADVICE) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise ModelMissing(f"'{place}' holds another kind of model, or an older form of Florence-2.", _ADVICE)
    return processor, model.eval().to(device)


def _dtype(device: torch.device) -> torch.dtype:
    return torch.float16 if device.type == "cuda" else torch.float32


_ADVICE = Advice(f"Give a folder with the files of '{FLORENCE}', or that very name to download it.")
