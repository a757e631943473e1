"""How many tokens a caption has: counted, without torch, where the tokenizer lies on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

TOKENS_A_WORD = 1.3
"""Of English captions, roughly."""


@dataclass(frozen=True)
class Encoder:
    """A text encoder that reads `limit` tokens, its own marks included; without a tokenizer it is guessed."""

    name: str
    limit: int
    consequence: str
    tokenizer: Path | None = None
    num_marks: int = 1

    @property
    def exact(self) -> bool:
        return self.tokenizer is not None

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with the marks that the encoder puts around it."""
        if self.tokenizer is None:
            return [round(len(text.split()) * TOKENS_A_WORD) + self.num_marks for text in texts]
        counter = Tokenizer.from_file(str(self.tokenizer))
        counter.no_truncation()
        counter.no_padding()
        return [len(one.ids) for one in counter.encode_batch(list(texts))]


def flux_encoders(model: str, t5_limit: int) -> tuple[Encoder, Encoder]:
    """CLIP and T5 of FLUX.1, of a model folder or hub name that need not be on this computer."""
    return (
        Encoder(
            "CLIP",
            77,
            "T5 reads on; put what matters most first.",
            _tokenizer(model, "tokenizer"),
            num_marks=2,
        ),
        Encoder("T5", t5_limit, "What stands behind is not learned.", _tokenizer(model, "tokenizer_2")),
    )


def _tokenizer(model: str, part: str) -> Path | None:
    """Nothing is downloaded: of a hub name, the file is taken where it came along with the model."""
    if Path(model).is_dir():
        path = Path(model) / part / "tokenizer.json"
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, f"{part}/tokenizer.json")
    return Path(found) if isinstance(found, str) else None
