"""The one command: format, lint, types, tests, the page in a browser. The first that fails ends it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PYTEST = ("pytest", "-q", "--durations=5")
STAGES = (
    ("format", ("ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("ruff", "check", "--quiet", ".")),
    ("types", ("mypy", "--no-error-summary")),
    # A file stays with one worker, so that what its tests share is made once.
    ("tests", (*_PYTEST, "--ignore=tests/browser", "-n", "auto", "--maxprocesses=4", "--dist", "loadfile")),
    # The page by itself, no more than two at a time: it is judged by how quickly it answers.
    ("page", (*_PYTEST, "tests/browser", "-n", "2", "--dist", "loadfile")),
)


def main() -> int:
    for name, (tool, *arguments) in STAGES:
        start = time.monotonic()
        code = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=ROOT).returncode
        say(f"check: {name} {'failed' if code else 'passed'} in {time.monotonic() - start:.0f} s")
        if code:
            say(f"  again, alone: {sys.executable} -m {tool} {' '.join(arguments)}")
            return 1
    return 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
