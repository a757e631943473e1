"""What pip says when it fails, in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.install import pip
from tuner.install.environment import Venv

OFFLINE = """\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError('<pip._vendor
.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno -3]
Temporary failure in name resolution')': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)
ERROR: No matching distribution found for torch==2.13.0
"""
WRONG_SYSTEM = """\
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)
ERROR: No matching distribution found for torch==2.13.0
"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
LOCKED = "ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: '_C.pyd'\n"
FOREIGN = (
    "... (_ssl.c:1000): [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate\n"
)
PROXY = (
    "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication'))\n"
)
DAMAGED = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (OFFLINE, "no connection to the package server"),
        (WRONG_SYSTEM, "no ready-made torch==2.13.0 for this Python"),
        (FULL, "The disk became full"),
        (LOCKED, "could not be written"),
        (FOREIGN, "is not trusted"),
        (PROXY, "The proxy did not let"),
        (DAMAGED, "arrived damaged"),
        ("MemoryError\n", "ran out of memory"),
        (
            "Collecting x\nERROR: something quite new\nhint: nothing\n",
            'last word was "ERROR: something quite new"',
        ),
        ("", "last word was"),
    ],
)
def test_each_failure_has_its_sentence_and_names_the_log(output: str, says: str) -> None:
    error = pip.explain(output, Path(".venv/install.log"))
    assert says in error.message
    assert "Traceback" not in str(error)
    assert any("install.log" in advice.text for advice in error.advice)


def stand_in(tmp_path: Path, script: str) -> Venv:
    """An environment whose `python -m pip` is `script`."""
    venv = Venv(tmp_path / "späce ünï" / ".venv")
    venv.python.parent.mkdir(parents=True)
    venv.python.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    venv.python.chmod(0o755)
    return venv


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for python is a script")
def test_pip_runs_quietly_into_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    venv = stand_in(tmp_path, "import os, sys; print(sys.argv[1:], os.environ['TMPDIR'])")
    pip.run(venv, "install", "-r", "requirements.txt")
    assert capfd.readouterr().out == ""
    log = venv.log.read_text(encoding="utf-8")
    assert "'-m', 'pip', 'install'" in log
    assert str(venv.folder / "tmp") in log


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for python is a script")
def test_only_what_this_call_said_is_explained(tmp_path: Path) -> None:
    venv = stand_in(tmp_path, "import sys; print('ERROR: odd'); sys.exit(1)")
    venv.log.write_text(FULL, encoding="utf-8")
    with pytest.raises(TunerError, match="ERROR: odd"):
        pip.run(venv, "install", "x")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for python is a script")
def test_a_long_download_shows_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pip, "HEARTBEAT_SECONDS", 0.2)
    pip.run(stand_in(tmp_path, "import time; time.sleep(1)"), "install", "x")
    assert "still at it" in capsys.readouterr().out
