"""`python -m tuner.install [practice|test|doctor]`: installs what is missing, then runs the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tuner.errors import Advice, TunerError
from tuner.install import browser, builds, pip
from tuner.install import environment as env
from tuner.install.say import say

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "": ("app.py",),
    "practice": ("-m", "tuner", "practice"),
    "test": ("tests/check.py",),
    "doctor": ("-m", "tuner", "doctor"),
}
USAGE = """Usage: install.sh [practice | test | doctor]
  (nothing)   install what is missing, then open the app
  practice    ... then train a LoRA on the embedded practice model, without a card, in a few minutes
  test        ... then run FluxTuner's own tests
  doctor      ... then look the machine over"""
UPDATE_NEEDS_GB = 1.0
TRY_TORCH = """
import sys, torch
device = sys.argv[1]
ones = torch.ones(8, 8, device=device)
assert float((ones @ ones).sum()) == 512
"""


def main(arguments: Sequence[str]) -> int:
    """Exit code of the command that was run; 1: not installed, 2: an unknown word, 3: interrupted."""
    word, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if word not in COMMANDS:
        say(USAGE)
        return 2
    venv = env.Venv(env.ROOT / ".venv")
    try:
        prepare(venv, with_tools=word == "test")
    except TunerError as error:
        return _failed(error.message, *(advice.text for advice in error.advice))
    except OSError as error:
        return _failed(
            f"{error.strerror or error}: {error.filename or env.ROOT}.", "Mend that and start again."
        )
    except KeyboardInterrupt:
        _failed("It was interrupted.", "The same command goes on where it stopped.")
        return 3
    return _hand_over(venv, [*COMMANDS[word], *rest])


def _failed(sentence: str, *steps: str) -> int:
    say(f"\nFluxTuner could not be set up. {sentence}")
    for step in steps:
        say(f"  -> {step}")
    return 1


def prepare(venv: env.Venv, *, with_tools: bool) -> None:
    """Brings `.venv` to what the requirement files ask for; a matching stamp means there is nothing to do."""
    stamp = env.read_stamp(venv) if venv.runs() else {}
    asked = os.environ.get("FLUXTUNER_TORCH", "")
    build = _kept(stamp, asked) or builds.choose(builds.cards(), asked)
    wanted = {
        "torch": build.name,
        "chosen_by": "user" if asked else stamp.get("chosen_by", "card"),
        "packages": env.digest(env.REQUIREMENTS),
    }
    if any(stamp.get(key) != value for key, value in wanted.items()):
        _install_packages(venv, build)
        stamp = wanted
        env.write_stamp(venv, stamp)
    if not with_tools:
        return
    tools = env.digest(env.TOOLS)
    if stamp.get("tools") != tools:
        with _timed("Installing the developer tools (about 100 MB)"):
            pip.run(venv, "install", "-r", str(env.TOOLS), "-c", str(env.REQUIREMENTS))
        env.write_stamp(venv, {**stamp, "tools": tools})
    browser.ensure(venv.log)


def _kept(stamp: Mapping[str, str], asked: str) -> builds.Build | None:
    """A CUDA build stays, even while the card does not answer; so does what the user asked for once."""
    settled = stamp.get("chosen_by") == "user" or stamp.get("torch", "cpu") != "cpu"
    return builds.BUILDS.get(stamp.get("torch", "")) if settled and not asked else None


def _install_packages(venv: env.Venv, build: builds.Build) -> None:
    version = _pinned_torch()
    there = builds.fits(build, venv.version("torch"), version)
    env.check_space(env.ROOT, UPDATE_NEEDS_GB if there else build.needs_gb)
    if not venv.folder.exists():
        say(f"Setting up FluxTuner in {venv.folder}")
    env.remove_stamp(venv)
    damaged = env.forget_damaged(venv.packages)
    if damaged:
        say(f"An interruption left unfinished, and set up again now: {', '.join(damaged)}")
    env.ensure(venv)
    if not builds.fits(build, venv.version("torch"), version):
        _install_torch(venv, build, version)
    fence = venv.folder / "constraints.txt"  # the very build that is there: nothing may replace it
    fence.write_text(f"torch=={venv.version('torch')}\n", encoding="utf-8")
    with _timed("Installing the other packages (about 300 MB)"):
        pip.run(venv, "install", "-r", str(env.REQUIREMENTS), "-c", str(fence))
    with _timed("Trying PyTorch"):
        _try_torch(venv, build)
    shutil.rmtree(venv.folder / "tmp", ignore_errors=True)


def _pinned_torch() -> str:
    lines = env.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line.split()[0].removeprefix("torch==") for line in lines if line.startswith("torch=="))


def _install_torch(venv: env.Venv, build: builds.Build, version: str) -> None:
    arguments = builds.pip_arguments(build, version)
    if venv.version("torch"):
        pip.run(venv, "uninstall", "--yes", "torch")
    with _timed(f"Installing {build.title} (about {build.download})"):
        pip.run(venv, "install", *arguments, "-c", str(env.REQUIREMENTS))


def _try_torch(venv: env.Venv, build: builds.Build) -> None:
    device = "cpu" if build is builds.CPU_BUILD else "cuda"
    code, output = env.run(venv.python, "-c", TRY_TORCH, device)
    if code == 0:
        return
    last = (output.strip().splitlines() or [f"exit status {code}"])[-1]
    steps = [Advice("Delete the folder .venv and start again.")]
    if device == "cuda":
        steps = [
            Advice("Update the NVIDIA driver, restart the computer, start again."),
            Advice(builds.NO_CARD_WANTED),
        ]
    elif "DLL load failed" in last or "WinError" in last:
        steps = [Advice("Install https://aka.ms/vs/17/release/vc_redist.x64.exe and start again.")]
    raise TunerError(f'PyTorch is installed but does not run here: "{last}".', *steps)


@contextmanager
def _timed(title: str) -> Iterator[None]:
    say(f"{title} ...")
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.0f} s")


def _hand_over(venv: env.Venv, arguments: Sequence[str]) -> int:
    os.chdir(env.ROOT)
    command = [str(venv.python), *arguments]
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, env.child_environment())
    child = subprocess.Popen(command, env=env.child_environment())
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child has got it too, and ends in its own way
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
