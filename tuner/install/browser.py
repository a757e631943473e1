"""A Chromium of the system for the browser tests: found, or installed where that needs no question."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tuner.errors import Advice, TunerError
from tuner.install.say import say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)


def find() -> Path | None:
    """The program to hand to playwright as `executable_path`."""
    for name in (*NAMES, *PLACES):
        place = shutil.which(name)
        if place:
            return Path(place)
    return None


def ensure(log: Path) -> None:
    """Installs Chromium through apt where we may without asking; otherwise says the command."""
    if find():
        return
    root = _root()
    if root is None or not shutil.which("apt-get"):
        raise TunerError("The browser tests need Chromium, and none was found.", _mend())
    say("Installing Chromium for the browser tests (about 100 MB) ...")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"])
    with log.open("ab") as sink:
        for words in commands:
            command = [*root, "apt-get", *words]
            code = subprocess.run(
                command, stdout=sink, stderr=subprocess.STDOUT, env=env, check=False
            ).returncode
    if code != 0 or not find():
        raise TunerError(
            "Chromium for the browser tests could not be installed.",
            _mend(),
            Advice(f"Everything apt said is in {log}."),
        )


def _mend() -> Advice:
    if shutil.which("apt-get"):
        return Advice("Run this, then start again:  sudo apt install chromium")
    return Advice("Install Google Chrome or Chromium and start again.")


def _root() -> list[str] | None:
    """The words before a command that make it run as root; None where that would need a password."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None
