"""Whether quantized layers really work on this computer: the doctor's last question, asked on a click."""

from __future__ import annotations

import json
import subprocess
import sys

from tuner.machine import IN_FOLDER, Finding, installer

SECONDS = 180
TITLES = {"nf4-bnb": "NF4 layer", "int8-quanto": "int8 layer"}


def findings() -> tuple[Finding, ...]:
    """A layer of each kind is computed in a process of its own; takes some seconds."""
    command = [sys.executable, "-m", "tuner.quantization.trial"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return (_broken("The trial did not end; something in it hangs."),)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return (_broken(f"The trial broke down ({last})."),)
    return tuple(_finding(**one) for one in json.loads(done.stdout.strip().splitlines()[-1]))


def _finding(name: str, where: str, problem: str) -> Finding:
    if problem:
        return Finding(TITLES[name], "bad", f"It does not work on {where}: {problem}", IN_FOLDER, installer())
    return Finding(TITLES[name], "ok", f"Computed forwards and backwards on {where}, with the right result.")


def _broken(sentence: str) -> Finding:
    return Finding("Quantized layers", "bad", sentence, f"Delete the folder .venv. {IN_FOLDER}", installer())
