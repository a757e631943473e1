"""Which build of PyTorch fits this machine: read from nvidia-smi, decided over a table."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.errors import Advice, TunerError

WHEELS = "https://download.pytorch.org/whl"
PROBE_SECONDS = 5
NO_CARD_WANTED = "To go on without the card, set FLUXTUNER_TORCH=cpu before the same command."


@dataclass(frozen=True)
class Build:
    """One build of PyTorch; `capability_range` is NVIDIA's compute capability, both ends included."""

    name: str
    title: str
    download: str
    needs_gb: float
    min_driver: int = 0
    capability_range: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (99, 0))


# PyTorch 2.13's own matrix: CUDA 13.0 knows Turing to Blackwell, CUDA 12.6 knows Maxwell to Hopper.
CUDA_BUILDS = (
    Build("cu130", "PyTorch for CUDA 13.0", "2.5 GB", 8.0, 580, ((7, 5), (99, 0))),
    Build("cu126", "PyTorch for CUDA 12.6", "2.5 GB", 8.0, 525, ((5, 0), (9, 0))),
)
CPU_BUILD = Build("cpu", "PyTorch for the processor", "200 MB", 3.0)
BUILDS = {build.name: build for build in (*CUDA_BUILDS, CPU_BUILD)}


@dataclass(frozen=True)
class Card:
    name: str
    driver: str
    capability: tuple[int, int]

    @property
    def driver_major(self) -> int:
        return int(self.driver.split(".")[0])


def cards() -> tuple[Card, ...]:
    """The NVIDIA cards that answer; empty where there is none or its driver does not run."""
    program = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_cards(answer)


def parse_cards(answer: str) -> tuple[Card, ...]:
    """Reads nvidia-smi's csv; a line whose numbers are no numbers ("[N/A]") is no card that could be used."""
    found = []
    for line in answer.splitlines():
        name, driver, capability = ([part.strip() for part in line.split(",")] + ["", "", ""])[:3]
        major, _, minor = capability.partition(".")
        if major.isdigit() and minor.isdigit() and driver.split(".")[0].isdigit():
            found.append(Card(name, driver, (int(major), int(minor))))
    return tuple(found)


def choose(found: Sequence[Card], asked: str = "") -> Build:
    """The build for the newest of the cards; `asked` (FLUXTUNER_TORCH) wins over what was found."""
    if asked:
        if asked not in BUILDS:
            raise TunerError(
                f'FLUXTUNER_TORCH is "{asked}", which is no build of PyTorch that is known here.',
                Advice(f"Set it to one of: {', '.join(BUILDS)}."),
            )
        return BUILDS[asked]
    if not found:
        return CPU_BUILD
    card = max(found, key=lambda one: one.capability)
    able = [b for b in CUDA_BUILDS if b.capability_range[0] <= card.capability <= b.capability_range[1]]
    if not able:
        raise TunerError(
            f"The {card.name} is too old for the PyTorch that FluxTuner uses.", Advice(NO_CARD_WANTED)
        )
    for build in able:
        if card.driver_major >= build.min_driver:
            return build
    raise TunerError(
        f"The NVIDIA driver {card.driver} is too old for the PyTorch that FluxTuner uses with a {card.name}.",
        Advice(
            f"Install driver {able[0].min_driver} or newer (https://www.nvidia.com/drivers), start again."
        ),
        Advice(NO_CARD_WANTED),
    )


def reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def fits(build: Build, installed: str, version: str) -> bool:
    """Whether the installed PyTorch (`2.13.0+cpu`; plain from the usual index) is this very build."""
    base, _, name = installed.partition("+")
    return base == version and name in ("", build.name)


def pip_arguments(build: Build, version: str) -> list[str]:
    """What pip is told to get this build: from PyTorch's own index, or the usual one if it is there too."""
    plain = [f"torch=={version}"]
    if build is CPU_BUILD and sys.platform != "linux":
        return plain
    index = f"{WHEELS}/{build.name}"
    if reachable(f"{index}/torch/"):
        return [f"torch=={version}+{build.name}", "--extra-index-url", index]
    if build is CPU_BUILD or (build.name == "cu130" and sys.platform == "linux"):
        return plain
    raise TunerError(
        f"PyTorch's download page {index} cannot be reached from here.",
        Advice("Check the connection (proxy, firewall) and start again."),
    )
