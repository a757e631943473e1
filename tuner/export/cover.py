"""A small picture of what an adapter makes, for the header of its file."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

LONGEST = 100_000
"""Characters of the encoded picture, which stands in the header twice."""

_EDGES_PX = (384, 256, 192, 128, 64)


def cover(picture: Path) -> dict[str, str]:
    """The keys under which ComfyUI's page, its previews and forge look for a picture."""
    with Image.open(picture) as image:
        pixels = image.convert("RGB")
    encoded = next(text for edge in _EDGES_PX if len(text := _jpeg(pixels, edge)) <= LONGEST)
    return {
        "modelspec.thumbnail": f"data:image/jpeg;base64,{encoded}",
        "ssmd_cover_images": json.dumps([encoded]),
    }


def _jpeg(image: Image.Image, edge_px: int) -> str:
    """Base64 of the picture within a square of that edge, without any notes that it carried."""
    small = Image.new("RGB", image.size)
    small.paste(image)
    small.thumbnail((edge_px, edge_px))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return base64.b64encode(data.getvalue()).decode()
