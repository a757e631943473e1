"""What a picture file is by itself: its bytes and its size, or the reason why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.dataset import decoding
from tuner.dataset.decoding import PictureBroken
from tuner.dataset.index import Size
from tuner.dataset.keys import content_key


@dataclass(frozen=True)
class Facts:
    """Whatever a dataset makes of it: the hash of the bytes, and the size of the upright picture."""

    content: str
    size: Size

    @property
    def chance(self) -> float:
        """In [0, 1), always the same for the same bytes."""
        return int(self.content[:8], 16) / 2**32


def examine(path: Path) -> Facts | str:
    """Reads and decodes a file to its last byte; a text is the reason why it cannot be used."""
    try:
        data = path.read_bytes()
        return Facts(content_key(data), decoding.decode(data).size)
    except PictureBroken as broken:
        return broken.message
    except OSError as error:
        return f"The file cannot be opened ({error.strerror})."
