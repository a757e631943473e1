"""FLUX.1 models that are on this computer already, by what their headers say; used where they lie."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, try_to_load_from_cache

from tuner.errors import TunerError
from tuner.flux import single_file
from tuner.flux.catalog import FLAVOURS, Flavour
from tuner.flux.headers import Entry, entries
from tuner.machine import GB

MIN_BYTES = 5_000_000_000
"""The smallest FLUX.1 transformer, in 4 bits, has 6 GB."""
TEXT_WIDTH = 4096
"""Of T5-XXL's embeddings, which FLUX.1 takes; what else is built alike takes others."""
MAX_DEPTH = 4
SECONDS = 8.0
_BELOW = ("models/unet", "models/diffusion_models", "models/checkpoints", "models/Stable-diffusion")
"""Where ComfyUI and Forge keep models, seen from their folders."""
_PROGRAMS = (
    "ComfyUI", "ComfyUI_windows_portable/ComfyUI", "stable-diffusion-webui-forge", "sd-webui-forge-neo",
    "webui_forge_cu121_torch231/webui", "StabilityMatrix/Data/Models", "StabilityMatrix/Models",
    "pinokio/api/comfy.git/app", "pinokio/api/fluxgym.git", "fluxgym",
)  # fmt: skip
_HOMES = ("", "Documents", "Desktop", "Downloads", "AI", "git")
_FORMATS = {"BF16": "bf16", "F16": "fp16", "F32": "fp32", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


@dataclass(frozen=True)
class Found:
    """`place` is what a recipe's model setting takes; `flavour` what its name and its tensors suggest;
    `remark` says why it cannot be used, "" where it can.
    """

    place: str
    flavour: str
    format: str
    gigabytes: float
    remark: str = ""


def usual_folders(programs: Iterable[Path] = (), home: Path | None = None) -> list[Path]:
    """The folders where these programs and the usual ones keep FLUX.1; no disk is searched for them."""
    home = home or Path.home()
    roots = [home / part for part in _HOMES] + [Path(f"{letter}:/") for letter in "CDEF" if os.name == "nt"]
    known = [*programs, *(root / program for root in roots for program in _PROGRAMS)]
    found = (program / below for program in known for below in _BELOW)
    return [path for path in dict.fromkeys((*found, home / "Downloads")) if path.is_dir()]


def find(folders: Iterable[Path], seconds: float = SECONDS, min_bytes: int = MIN_BYTES) -> tuple[Found, ...]:
    """The repositories in the Hugging Face cache, and the files and model folders below `folders`; what is
    not reached in so many seconds is left out.
    """
    end = time.monotonic() + seconds
    found = {one.place: one for one in cached()}
    for folder in folders:
        for path in _files(folder, end, min_bytes):
            one = look_at(path)
            if one is not None:
                found[str(path.resolve())] = one
    return tuple(found.values())


def cached() -> Iterator[Found]:
    """The flavours of which the Hugging Face cache holds the transformer."""
    for flavour in FLAVOURS:
        config = try_to_load_from_cache(flavour.repository, "transformer/config.json")
        if not isinstance(config, str):
            continue
        weights = list(Path(config).parent.glob("*.safetensors"))
        if weights:
            size = sum(path.stat().st_size for path in weights) / GB
            yield Found(flavour.repository, flavour.name, _format(entries(weights)), size)


def look_at(path: Path) -> Found | None:
    """A file with a FLUX.1 transformer, or a folder as diffusers writes it; None for anything else."""
    if path.is_dir():
        return _folder(path)
    try:
        tensors = single_file.pieces(path)
        config = single_file.config(tensors, path)
    except TunerError:
        # Most files of these sizes are other models; a broken one is no more use than those.
        return None
    if config["joint_attention_dim"] != TEXT_WIDTH:
        return None
    found = {piece.entry for stacked in tensors.values() for piece in stacked}
    format_ = _format({str(number): entry for number, entry in enumerate(found)})
    remark = "" if format_ in _FORMATS.values() else f"its weights are kept as {format_}, which is not read"
    flavour = _flavour(path.name, bool(config["guidance_embeds"]))
    return Found(str(path), flavour.name, format_, path.stat().st_size / GB, remark)


def _folder(path: Path) -> Found | None:
    weights = sorted((path / "transformer").glob("*.safetensors"))
    if not weights or not (path / "model_index.json").is_file():
        return None
    try:
        found = entries(weights)
    except TunerError as error:
        return Found(str(path), "dev", "", 0.0, str(error))
    size = sum(file.stat().st_size for file in path.rglob("*.safetensors")) / GB
    guided = any("guidance_embedder" in name for name in found)
    return Found(str(path), _flavour(path.name, guided).name, _format(found), size)


def _files(folder: Path, end: float, min_bytes: int) -> Iterator[Path]:
    """Large .safetensors files and whole models below a folder, no deeper than `MAX_DEPTH`."""
    top = len(folder.parts)
    for place, below, names in os.walk(folder):
        here = Path(place)
        if time.monotonic() > end:
            return
        if "model_index.json" in names:
            below.clear()
            yield here
            continue
        if len(here.parts) - top >= MAX_DEPTH:
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
        for name in sorted(names):
            path = here / name
            if name.endswith(single_file.SUFFIX) and path.stat().st_size >= min_bytes:
                yield path


def _format(found: dict[str, Entry]) -> str:
    """The number format that most bytes are in."""
    sizes: Counter[str] = Counter()
    for entry in found.values():
        sizes[entry.dtype] += entry.num_bytes
    most = sizes.most_common(1)[0][0]
    return _FORMATS.get(most, most)


def _flavour(name: str, guided: bool) -> Flavour:
    """The flavour that the name of a file speaks of, among those that take a guidance value or do not."""
    alike = [one for one in FLAVOURS if one.guidance_embeds == guided]
    named = [one for one in alike if one.name in name.lower()]
    usual = [one for one in alike if one.name in ("dev", "schnell")]
    return max(named, key=lambda one: len(one.name)) if named else usual[0]


def lacking(repository: str, parts: Iterable[str]) -> list[str]:
    """Those of a model's folders (`transformer`, `vae` ...) whose weights are not in the cache."""
    index = try_to_load_from_cache(repository, "model_index.json")
    here = Path(index).parent if isinstance(index, str) else None
    return [part for part in parts if here is None or not any((here / part).glob("*.safetensors"))]


def cache_folder() -> Path:
    return Path(constants.HF_HUB_CACHE)
