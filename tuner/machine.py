"""This computer: gauges (`read`) that take milliseconds, and the doctor, who says what is not right.

Torch is never imported here: its build is read from the installed package's metadata.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import psutil
import pynvml
from packaging.requirements import Requirement

log = logging.getLogger(__name__)

GB = 2**30
"""As drivers, Windows and the names of cards count: an RTX 3090 has 24 of them."""
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
FLUX_DISK_GB = 40
"""FLUX.1 has 34 GB of files; caches and checkpoints come on top."""
SLOWED = (
    (pynvml.nvmlClocksThrottleReasonSwThermalSlowdown, "heat"),
    (pynvml.nvmlClocksThrottleReasonHwThermalSlowdown, "heat"),
    (pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown, "its power supply"),
)
"""NVML's reasons that are no part of a card's daily life, and what they come from."""
IN_FOLDER = "Type in FluxTuner's folder:"
LONG_WINDOWS_PATH = 120
"""Windows allows 260 characters; the files of a run need about half of them below the program's folder."""


@dataclass(frozen=True)
class Reading:
    """The gauges of one moment, in GB (2**30 bytes), degrees Celsius, watts, percent of the time that the
    card computes, and MHz; None for what is not there. `gpu_slowed` says by what the card is held back.
    """

    ram_used_gb: float
    ram_total_gb: float
    process_gb: float
    disk_free_gb: float
    vram_used_gb: float | None = None
    vram_total_gb: float | None = None
    gpu_name: str | None = None
    gpu_temperature: float | None = None
    gpu_power: float | None = None
    gpu_power_limit: float | None = None
    gpu_load: float | None = None
    gpu_clock: float | None = None
    gpu_slowed: str = ""
    gpu_driver: str | None = None
    page_file_gb: float = 0.0
    page_file_used_gb: float = 0.0


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `mend` is the deed that puts it right and `command` what is to be typed for it,
    both empty where all is well.
    """

    title: str
    state: Literal["ok", "warn", "bad"]
    sentence: str
    mend: str = ""
    command: str = ""


_stand_in: dict[str, Any] = {}


def stand_in(file: Path) -> None:
    """From now on `read` says what this JSON file says, in the words of `Reading`; for what it leaves out it
    looks. Raises ValueError.
    """
    given = json.loads(file.read_text(encoding="utf-8"))
    known = Reading.__dataclass_fields__
    if not isinstance(given, dict) or not given.keys() <= known.keys():
        raise ValueError(f"'{file}' may hold these names and no others: {', '.join(known)}.")
    _stand_in.update(given)


def read(folder: Path | None = None) -> Reading:
    """The gauges now; the free disk space is that of `folder`'s drive (default: the working folder)."""
    ram, page_file = psutil.virtual_memory(), psutil.swap_memory()
    now = Reading(
        ram_used_gb=(ram.total - ram.available) / GB,
        ram_total_gb=ram.total / GB,
        process_gb=psutil.Process().memory_info().rss / GB,
        disk_free_gb=shutil.disk_usage(_existing(folder or Path.cwd())).free / GB,
        page_file_gb=page_file.total / GB,
        page_file_used_gb=page_file.used / GB,
        **_read_gpu(),
    )
    return replace(now, **_stand_in)


def described(vram_gb: float | None, ram_gb: float | None) -> Reading:
    """This computer as if it had so much memory, all of the card's free; None leaves it as it is."""
    here = read()
    if vram_gb is not None:
        here = replace(here, vram_total_gb=vram_gb, vram_used_gb=0.0, gpu_name=f"card with {vram_gb:g} GB")
    return here if ram_gb is None else replace(here, ram_total_gb=ram_gb, ram_used_gb=0.0)


def release_freed_memory() -> None:
    """Hands freed memory back to the system where glibc holds on to it: while a model is loaded, it would
    hold as much again as the model.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def doctor(folder: Path | None = None) -> tuple[Finding, ...]:
    """Everything a run needs from this computer, most important first; `folder` is where runs are written."""
    folder = folder or Path.cwd()
    reading = read(folder)
    return (
        _python(sys.version_info[:2]),
        _packages(REQUIREMENTS.read_text(encoding="utf-8").splitlines()),
        _torch(_installed("torch"), reading),
        _gpu(reading),
        _ram(reading),
        _disk(reading, folder),
        _writable(folder),
        _path(str(folder.resolve())),
    )


def installer(words: str = "") -> str:
    """The command that sets everything up on this system."""
    return f"{'install.bat' if os.name == 'nt' else 'bash install.sh'} {words}".strip()


@lru_cache(maxsize=1)
def _gpu_handle() -> Any | None:
    """The first NVIDIA card, or None without one; the driver is asked once per process."""
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError as error:
        log.info("No NVIDIA card is in sight: %s", error)
        return None


def _read_gpu() -> dict[str, Any]:
    gpu = _gpu_handle()
    if gpu is None:
        return {}
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    slowed = int(_gauge(pynvml.nvmlDeviceGetCurrentClocksEventReasons, gpu) or 0)
    return {
        "vram_used_gb": memory.used / GB,
        "vram_total_gb": memory.total / GB,
        "gpu_name": pynvml.nvmlDeviceGetName(gpu),
        "gpu_driver": pynvml.nvmlSystemGetDriverVersion(),
        "gpu_temperature": _gauge(pynvml.nvmlDeviceGetTemperature, gpu, pynvml.NVML_TEMPERATURE_GPU),
        "gpu_power": _gauge(pynvml.nvmlDeviceGetPowerUsage, gpu, scale=1e-3),
        "gpu_power_limit": _gauge(pynvml.nvmlDeviceGetEnforcedPowerLimit, gpu, scale=1e-3),
        "gpu_load": _gauge(lambda card: pynvml.nvmlDeviceGetUtilizationRates(card).gpu, gpu),
        "gpu_clock": _gauge(pynvml.nvmlDeviceGetClockInfo, gpu, pynvml.NVML_CLOCK_SM),
        "gpu_slowed": next((word for bits, word in SLOWED if slowed & bits), ""),
    }


def _gauge(ask: Any, *arguments: Any, scale: float = 1.0) -> float | None:
    """Laptop and data-centre cards, and older drivers, lack single gauges: those are None."""
    try:
        return float(ask(*arguments)) * scale
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None


def _python(version: tuple[int, ...]) -> Finding:
    words = ".".join(map(str, version))
    span = f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} to {NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]}"
    if OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return Finding("Python", "ok", f"Python {words}, {platform.machine()}.")
    sentence = f"Python {words} is not one of those FluxTuner was tried with ({span})."
    newest = f"{NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]}"
    mend = f"Install Python {newest}, delete the folder .venv, then type in FluxTuner's folder:"
    return Finding("Python", "bad", sentence, mend, installer())


def _packages(lines: Iterable[str]) -> Finding:
    """Installed versions against the pins of requirements.txt; a build suffix such as +cpu does not count."""
    pins = [Requirement(text) for line in lines if (text := line.partition("#")[0].strip())]
    pins = [p for p in pins if p.marker is None or p.marker.evaluate()]
    missing = [p.name for p in pins if _installed(p.name) is None]
    other = [
        f"{p.name} {version} instead of {p.specifier}"
        for p in pins
        if (version := _installed(p.name)) and not p.specifier.contains(version.partition("+")[0])
    ]
    if missing:
        sentence = f"Not installed: {', '.join(missing)}."
        return Finding("Packages", "bad", sentence, IN_FOLDER, installer())
    if other:
        sentence = f"Other versions than were tried: {'; '.join(other)}."
        return Finding("Packages", "warn", sentence, IN_FOLDER, installer())
    return Finding(
        "Packages", "ok", f"All {len(pins)} packages are installed in the versions that were tried."
    )


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch(version: str | None, reading: Reading) -> Finding:
    if version is None:
        return Finding("PyTorch", "bad", "PyTorch is not installed.", IN_FOLDER, installer())
    if "+cpu" not in version:
        return Finding("PyTorch", "ok", f"PyTorch {version}, built for graphics cards.")
    if reading.gpu_name:
        sentence = (
            f"PyTorch {version} is the build for processors, so the {reading.gpu_name} would stay idle."
        )
        return Finding("PyTorch", "bad", sentence, f"Delete the folder .venv. {IN_FOLDER}", installer())
    return Finding("PyTorch", "ok", f"PyTorch {version}, the build for processors.")


def _gpu(reading: Reading) -> Finding:
    if reading.vram_total_gb is None or reading.vram_used_gb is None:
        sentence = (
            "No NVIDIA card is in sight: the practice model trains on the processor, FLUX.1 needs a card."
        )
        mend = "With a card in this computer: install its driver from nvidia.com, then restart."
        return Finding("Graphics card", "warn", sentence, mend)
    free = reading.vram_total_gb - reading.vram_used_gb
    sentence = f"{reading.gpu_name} with {reading.vram_total_gb:.1f} GB, of which {free:.1f} GB are free."
    if reading.gpu_driver:
        sentence += f" Driver {reading.gpu_driver}."
    if free < 0.75 * reading.vram_total_gb:
        return Finding("Graphics card", "warn", sentence, "Close other programs that use the card.")
    return Finding("Graphics card", "ok", sentence)


def _ram(reading: Reading) -> Finding:
    free = reading.ram_total_gb - reading.ram_used_gb
    sentence = f"{reading.ram_total_gb:.0f} GB of memory, of which {free:.1f} GB are free."
    sentence += (
        f" The page file has {reading.page_file_gb:.0f} GB." if reading.page_file_gb else " No page file."
    )
    if free < 3:
        return Finding("Memory", "bad", sentence, "Close other programs: the practice run alone needs 3 GB.")
    if reading.ram_total_gb < 15:
        return Finding(
            "Memory", "warn", sentence, "Enough for the practice model; FLUX.1 wants 16 GB or more."
        )
    return Finding("Memory", "ok", sentence)


def _disk(reading: Reading, folder: Path) -> Finding:
    sentence = f"{reading.disk_free_gb:.0f} GB are free on the drive of '{folder.resolve()}'."
    if reading.disk_free_gb < 2:
        return Finding("Disk", "bad", sentence, "Free at least 2 GB, or move the program to another drive.")
    if reading.disk_free_gb < FLUX_DISK_GB:
        mend = f"Enough for the practice model; FLUX.1 with its caches wants {FLUX_DISK_GB} GB."
        return Finding("Disk", "warn", sentence, mend)
    return Finding("Disk", "ok", sentence)


def _writable(folder: Path) -> Finding:
    """Tried, not asked: permission bits say little on Windows and on network drives."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Finding("Permission", "ok", f"'{folder.resolve()}' can be written.")
    except OSError as error:
        sentence = f"'{folder.resolve()}' cannot be written ({error.strerror})."
        return Finding("Permission", "bad", sentence, "Move the program to a folder of your own.")


def _path(text: str) -> Finding:
    title = "Folder name"
    if not text.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in text):
        shown = text.encode("ascii", "backslashreplace").decode()
        sentence = f"The folder name '{shown}' has characters that are not text."
        return Finding(title, "bad", sentence, "Rename that folder.")
    if os.name == "nt" and len(text) > LONG_WINDOWS_PATH:
        sentence = (
            f"The folder name has {len(text)} characters; Windows may refuse the longer names inside it."
        )
        return Finding(title, "warn", sentence, "Move the program to a shorter path such as C:\\FluxTuner.")
    if "onedrive" in text.lower():
        sentence = "The folder is inside OneDrive, which locks and uploads files while a run writes them."
        return Finding(title, "warn", sentence, "Move the program out of OneDrive.")
    return Finding(title, "ok", f"'{text}' is a name that works.")


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = folder.resolve()
    return next(p for p in (folder, *folder.parents) if p.exists())
