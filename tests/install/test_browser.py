"""Chromium for the browser tests: found, fetched without questions, or asked for."""

from __future__ import annotations

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
