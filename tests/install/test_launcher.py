"""install.sh itself: finds a Python that really runs, whatever the folder is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="install.sh is for bash")

ECHO = "import os, sys; print('|'.join([os.getcwd(), sys.executable, *sys.argv[1:]])); sys.exit(7)"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout in an awkward folder whose installer only says how it was called."""
    place = tmp_path / "Größe & späce (1)"
    (place / "tuner" / "install").mkdir(parents=True)
    shutil.copy(ROOT / "install.sh", place)
    (place / "tuner" / "install" / "__main__.py").write_text(ECHO, encoding="utf-8")
    return place


def command(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def start(copy: Path, *words: str, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "HOME": str(copy), "LC_ALL": "C.UTF-8", **more}
    bash = shutil.which("bash") or "bash"
    return subprocess.run(
        [bash, str(copy / "install.sh"), *words],
        capture_output=True,
        text=True,
        env=env,
        cwd="/",
        check=False,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The few programs that install.sh uses, and no Python among them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "grep", "sh", "env"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def test_a_shim_without_a_python_behind_it_is_passed_over(copy: Path, tools: Path, tmp_path: Path) -> None:
    later = tmp_path / "lä ter"
    command(tools, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    (tools / "python3.12").symlink_to("/nowhere")
    command(tools, "python3", "exit 1")
    command(later, "python3", f'exec "{sys.executable}" "$@"')
    done = start(copy, "practice", "a b", path=f"{tools}:{later}", PYTHONPATH="/elsewhere", CDPATH="/tmp")
    assert done.returncode == 7, done.stderr
    folder, _, *words = done.stdout.strip().split("|")
    assert (folder, words) == (str(copy), ["practice", "a b"])


def test_the_environment_that_is_there_comes_first(copy: Path, tools: Path) -> None:
    (copy / ".venv" / "bin").mkdir(parents=True)
    command(
        copy / ".venv" / "bin",
        "python",
        f'[ "$1" = -c ] && exit 0; echo mine "$@"; exec "{sys.executable}" "$@"',
    )
    assert start(copy, path=str(tools)).stdout.startswith("mine -X utf8 -m tuner.install")


def test_no_fitting_python_is_a_sentence_and_a_command(copy: Path, tools: Path) -> None:
    command(tools, "python3", '[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1')
    done = start(copy, "practice", path=str(tools))
    assert (done.returncode, done.stderr) == (1, "")
    assert "this computer has Python 3.9.2" in done.stdout
    assert "-> Run this, then start again:" in done.stdout


def test_without_the_rest_of_the_checkout_it_says_so(copy: Path, tools: Path) -> None:
    shutil.rmtree(copy / "tuner")
    done = start(copy, path=str(tools))
    assert (done.returncode, done.stderr) == (1, "")
    assert "must stay in FluxTuner's folder" in done.stdout
