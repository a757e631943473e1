"""Chromium for the browser tests: found, fetched without questions, or asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.install import browser


def test_it_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        browser.shutil, "which", lambda name: "/opt/chrome" if name == "google-chrome" else None
    )
    assert browser.find() == Path("/opt/chrome")
    browser.ensure(tmp_path / "log")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("apt", "says"), [(True, "sudo apt install chromium"), (False, "Install Google Chrome")]
)
def test_where_a_password_would_be_needed_the_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt: bool, says: str
) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda name: "/usr/bin/apt-get" if apt and name == "apt-get" else None
    )
    monkeypatch.setattr(browser, "_root", lambda: None)
    with pytest.raises(TunerError, match="Chromium") as caught:
        browser.ensure(tmp_path / "log")
    assert says in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for apt-get is a shell script")
@pytest.mark.parametrize("works", [True, False])
def test_where_no_password_is_needed_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    apt = tmp_path / "apt-get"
    made = f'[ "$1" = update ] || {{ : > {tmp_path}/chromium; /bin/chmod +x {tmp_path}/chromium; }}'
    apt.write_text(
        f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*"\n{made if works else "exit 100"}\n', encoding="utf-8"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "PLACES", ())
    monkeypatch.setattr(browser, "_root", list)
    log = tmp_path / "log"
    if works:
        browser.ensure(log)
        assert browser.find() == tmp_path / "chromium"
    else:
        with pytest.raises(TunerError, match="could not be installed") as caught:
            browser.ensure(log)
        assert str(log) in str(caught.value)
    said = log.read_text(encoding="utf-8").splitlines()
    assert said[-1].startswith("noninteractive install") and said[-1].endswith("chromium")
