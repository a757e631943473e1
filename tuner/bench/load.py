"""What loading a quantized model takes of the computer's memory beside the weights that it keeps, and how
quickly the weight store gives them back.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tuner.bench.shared import Asked, about, figures

PRECISIONS = ("int8-quanto", "nf4-bnb")
DEPTHS = ((1, 6), (2, 10))
"""Double and single blocks: 1.25 and 2.16 billion parameters at FLUX.1's own width."""
TOY_DEPTHS = ((2, 5),)
WAYS = ("plain", "store_only", "first", "second")
"""Without a store; into the store and nothing kept; with a store that is made; from that store."""


def load(asked: Asked) -> dict[str, Any]:
    """`extra_host_gb` is the peak of the process's memory, file pages counted, above what it had before and
    the weights that it keeps in the end. The disk's own speed is that of reading the store's files one after
    the other; both begin with nothing of them in memory, where the system lets go of it.
    """
    depths = TOY_DEPTHS if asked.toy else DEPTHS
    settings = {"precisions": PRECISIONS, "blocks": depths, "toy": asked.toy}
    cases = []
    for blocks in depths:
        with tempfile.TemporaryDirectory() as scratch:
            model = Path(scratch) / "model"
            spec = {"folder": str(model), "blocks": blocks, "toy": asked.toy}
            num_parameters = figures("tuner.bench.synthetic", spec)
            for name in PRECISIONS:
                case = {"precision": name, "blocks": blocks, "num_parameters": num_parameters}
                cases.append(case | _case(model, name, Path(scratch)))
    worst = {
        f"{name.replace('-', '_')}_worst_extra_host_gb": max(
            one["extra_host_gb"] for one in cases if one["precision"] == name
        )
        for name in PRECISIONS
    }
    return {**about("load", settings), **worst, "cases": cases}


def _case(model: Path, precision: str, scratch: Path) -> dict[str, Any]:
    """Each way in a process of its own."""
    home = scratch / precision
    made = {}
    for way in WAYS:
        if way == "second":
            disk = _disk_gb_per_second(home)
        spec = {"model": str(model), "precision": precision, "way": way}
        made[way] = figures(
            "tuner.bench.load_once", spec, {"HF_HOME": str(home / ("spare" * (way == "store_only")))}
        )
    plain, second = made["plain"], made["second"]
    return {
        "kept_gb": plain["kept_gb"],
        "extra_host_gb": plain["extra_host_gb"],
        "store_only_extra_host_gb": made["store_only"]["extra_host_gb"],
        "first_start_extra_host_gb": made["first"]["extra_host_gb"],
        "second_start_extra_host_gb": second["extra_host_gb"],
        "load_seconds": plain["seconds"],
        "first_start_seconds": made["first"]["seconds"],
        "second_start_seconds": second["seconds"],
        "store_gb_per_second": round(second["kept_gb"] / second["seconds"], 3),
        "disk_gb_per_second": disk,
        "of_disk_speed_ratio": round(second["kept_gb"] / second["seconds"] / disk, 3),
        "equal_outputs": len({one["outputs"] for way, one in made.items() if way != "store_only"}) == 1,
    }


def _disk_gb_per_second(folder: Path) -> float:
    """Of the store's files, one after the other, into one small buffer."""
    files = [path for path in folder.rglob("*.safetensors") if path.is_file()]
    forget(files)
    buffer, size, start = bytearray(2**23), 0, time.monotonic()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while number := file.readinto(buffer):
                size += number
    spent = time.monotonic() - start
    forget(files)
    return round(size / spent / 1e9, 3)


def forget(files: list[Path]) -> None:
    """The system's copies of these files in memory are dropped, where it can be told to."""
    if hasattr(os, "posix_fadvise"):
        os.sync()
        for path in files:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
