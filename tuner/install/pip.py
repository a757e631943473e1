"""Runs pip quietly into a log, and says in one sentence what went wrong when it fails."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tuner.errors import Advice, TunerError
from tuner.install.environment import Venv, child_environment
from tuner.install.say import say

HEARTBEAT_SECONDS = 30
TAIL_CHARACTERS = 6000

# (what pip prints, the sentence, the next step); the first that matches is said.
FAILURES = (
    (
        r"no space left on device|errno 28|winerror 112|disk quota exceeded",
        "The disk became full while packages were unpacked.",
        "Free some space and start the same command again.",
    ),
    (
        r"permission denied|errno 13|winerror 5\b|access is denied|winerror 32|read-only file system",
        "A file of the installation could not be written.",
        "Close every running FluxTuner, check that this folder belongs to you, and start again.",
    ),
    (
        r"certificate_verify_failed|certificate verify failed",
        "The connection to the package server is not trusted by this computer.",
        "Check date and time; behind a company proxy, set PIP_CERT to its certificate file.",
    ),
    (
        r"proxyerror|407 proxy|cannot connect to proxy",
        "The proxy did not let the download through.",
        "Set HTTPS_PROXY to the right address (http://user:password@host:port) and start again.",
    ),
    (
        r"name resolution|service not known|getaddrinfo failed|nodename nor servname|failed to resolve"
        r"|network is unreachable|newconnectionerror|failed to establish|connecttimeout|readtimeout|timed out"
        r"|connection (?:aborted|reset|refused|broken)|remotedisconnected|incompleteread|max retries",
        "The packages could not be downloaded: there is no connection to the package server.",
        "Connect to the internet and start the same command again; what is already here is kept.",
    ),
    (
        r"do not match the hashes|hash mismatch",
        "A download arrived damaged.",
        "Start the same command again.",
    ),
    (
        r"memoryerror|cannot allocate memory",
        "The computer ran out of memory during the installation.",
        "Close other programs and start the same command again.",
    ),
    (
        r"no matching distribution found for (?P<what>[^\s(]+)",
        "There is no ready-made {what} for this Python on this system.",
        "Use 64-bit Python 3.11, 3.12 or 3.13 on Linux (glibc 2.28 or newer) or Windows 10 or newer.",
    ),
)


def explain(output: str, log: Path) -> TunerError:
    """Turns the end of pip's output into one sentence and a next step; the log's place is always named."""
    see = Advice(f"Everything pip said is in {log}.")
    for pattern, sentence, step in FAILURES:
        match = re.search(pattern, output, re.IGNORECASE)
        if match:
            return TunerError(sentence.format(**match.groupdict()), Advice(step), see)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    last = (errors or lines or ["nothing"])[-1]
    return TunerError(f'The package installer stopped; its last word was "{last}".', see)


def run(venv: Venv, *arguments: str) -> None:
    """`pip ARGUMENTS` inside the environment; raises TunerError when pip fails."""
    scratch = venv.folder / "tmp"  # on the disk whose space was checked; a small /tmp does not matter
    scratch.mkdir(exist_ok=True)
    env = child_environment(TMPDIR=str(scratch), TEMP=str(scratch), TMP=str(scratch), PIP_USER="0")
    verb, *rest = arguments
    command = [str(venv.python), "-m", "pip", verb, "--no-input", "--disable-pip-version-check", *rest]
    start = venv.log.stat().st_size if venv.log.exists() else 0
    with venv.log.open("ab") as sink:
        sink.write(f"\n$ {' '.join(command)}\n".encode())
        sink.flush()
        code = _wait(subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=env))
    if code != 0:
        said = venv.log.read_bytes()[start:].decode("utf-8", errors="replace")
        raise explain(said[-TAIL_CHARACTERS:], venv.log)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """The exit code; a sign of life now and then, because the larger downloads take minutes."""
    seconds = 0
    while True:
        try:
            return child.wait(timeout=HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            seconds += HEARTBEAT_SECONDS
            say(f"  still at it ({seconds} s)")
