"""The window opens at once: nothing that is imported for it brings torch along."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house import ROOT

LATER = ("torch", "diffusers", "transformers", "peft", "bitsandbytes", "accelerate")
LOOK = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted(set(sys.argv[2:]) & set(sys.modules)))
"""


@pytest.mark.parametrize("module", ["app", "tuner.ui.layout", "tuner.cli", "tuner.session"])
def test_importing_it_leaves_torch_out(module: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LOOK, module, *LATER]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_command_line_leaves_gradio_out() -> None:
    command = [sys.executable, "-c", LOOK, "tuner.cli", "gradio"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split() == []
