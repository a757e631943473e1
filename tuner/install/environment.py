"""The `.venv` in the checkout: made, mended after an interruption, and stamped with what is in it."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import Advice, TunerError

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
TOOLS = ROOT / "requirements-dev.txt"
STAMP = "fluxtuner.json"


def child_environment(**more: str) -> dict[str, str]:
    """For every child: UTF-8 throughout, no packages from outside `.venv`; pip's own configuration stays."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1", **more}


def run(python: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and everything said on both outputs."""
    command = [str(python), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=child_environment())
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Venv:
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def packages(self) -> Path:
        if os.name == "nt":
            return self.folder / "Lib/site-packages"
        return next(self.folder.glob("lib/python3.*/site-packages"), self.folder / "lib")

    @property
    def log(self) -> Path:
        return self.folder / "install.log"

    def runs(self) -> bool:
        """False too after the Python it was made from has gone (an upgrade of the system)."""
        return self.python.exists() and run(self.python, "-c", "")[0] == 0

    def version(self, package: str) -> str:
        """Of an installed package, "" if it is not there; for PyTorch with its build (`2.13.0+cpu`)."""
        info = next(self.packages.glob(f"{package}-*.dist-info"), None)
        return info.name.removesuffix(".dist-info").split("-", 1)[1] if info else ""


def ensure(venv: Venv) -> None:
    """Makes the environment, or repairs one that does not run or has no pip."""
    if not venv.runs():
        _check_modules()
        _run_module(Path(sys.executable), "venv", "--clear", str(venv.folder))
    elif not venv.version("pip"):
        _check_modules()
        _run_module(venv.python, "ensurepip", "--upgrade")


def _check_modules() -> None:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise TunerError(
        f"This Python {version} comes without its venv module.",
        Advice(f"Run this, then start again:  sudo apt install python{version}-venv")
        if shutil.which("apt")
        else Advice("Install the complete Python from https://www.python.org/downloads and start again."),
    )


def _run_module(python: Path, *module: str) -> None:
    code, output = run(python, "-m", *module)
    if code != 0:
        last = (output.strip().splitlines() or ["nothing"])[-1]
        raise TunerError(
            f'The folder .venv could not be made; Python\'s last word was "{last}".',
            Advice(f"Check that {ROOT} can be written to and that the disk has room, then start again."),
        )


def check_space(folder: Path, needs_gb: float) -> None:
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needs_gb:
        raise TunerError(
            f"The disk of {folder} has {free_gb:.1f} GB free; about {needs_gb:.0f} GB are needed.",
            Advice("Free some space, or move this folder to a larger disk, and start again."),
        )


def forget_damaged(packages: Path) -> tuple[str, ...]:
    """Drops the record of every package with missing or cut files: pip then sets it up anew. Their names."""
    damaged = [info for info in packages.glob("*.dist-info") if not _whole(info)]
    for info in damaged:
        shutil.rmtree(info)
    return tuple(sorted(info.name.split("-")[0] for info in damaged))


def _whole(info: Path) -> bool:
    record = info / "RECORD"
    if not record.is_file():
        return False
    with record.open(encoding="utf-8", newline="") as lines:
        for name, _, size in csv.reader(lines):
            file = info.parent / name
            if size and (not file.is_file() or file.stat().st_size != int(size)):
                return False
    return True


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read_stamp(venv: Venv) -> Mapping[str, str]:
    """What is completely installed; empty after an interruption."""
    place = venv.folder / STAMP
    if not place.is_file():
        return {}
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write_stamp(venv: Venv, stamp: Mapping[str, str]) -> None:
    beside = venv.folder / f"{STAMP}.new"
    beside.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    os.replace(beside, venv.folder / STAMP)


def remove_stamp(venv: Venv) -> None:
    (venv.folder / STAMP).unlink(missing_ok=True)
