"""The `.venv`: interruptions are noticed, and what went wrong is said in a sentence."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.install import environment
from tuner.install.environment import Venv


def package(packages: Path, name: str, text: str = "whole") -> Path:
    """A package as pip leaves it: a file, and a record that knows its size."""
    info = packages / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (packages / f"{name}.py").write_text(text, encoding="utf-8")
    record = f"{name}.py,sha256=x,{len(text)}\n__pycache__/{name}.pyc,,\n{info.name}/RECORD,,\n"
    (info / "RECORD").write_text(record, encoding="utf-8")
    return info


def test_packages_with_missing_or_cut_files_are_forgotten(tmp_path: Path) -> None:
    whole, cut, gone, unrecorded = (
        package(tmp_path, name) for name in ("whole", "cut", "gone", "unrecorded")
    )
    (tmp_path / "cut.py").write_text("wh", encoding="utf-8")
    (tmp_path / "gone.py").unlink()
    (unrecorded / "RECORD").unlink()
    assert environment.forget_damaged(tmp_path) == ("cut", "gone", "unrecorded")
    assert whole.is_dir()
    assert not any(info.exists() for info in (cut, gone, unrecorded))


def test_the_stamp_is_whole_or_not_there(tmp_path: Path) -> None:
    venv = Venv(tmp_path)
    assert environment.read_stamp(venv) == {}
    environment.write_stamp(venv, {"torch": "cpu"})
    assert environment.read_stamp(venv) == {"torch": "cpu"}
    (tmp_path / environment.STAMP).write_text('{"torch": "c', encoding="utf-8")
    assert environment.read_stamp(venv) == {}
    environment.remove_stamp(venv)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_whose_python_is_gone_does_not_run(tmp_path: Path) -> None:
    venv = Venv(tmp_path)
    assert not venv.runs()
    venv.python.parent.mkdir(parents=True)
    venv.python.symlink_to(tmp_path / "python-that-was-removed")
    assert not venv.runs()


def test_the_version_of_an_installed_package(tmp_path: Path) -> None:
    venv = Venv(tmp_path)
    packages = tmp_path / ("Lib/site-packages" if sys.platform == "win32" else "lib/python3.11/site-packages")
    (packages / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    (packages / "torch_optimi-0.3.3.dist-info").mkdir()
    assert venv.version("torch") == "2.13.0+cpu"
    assert venv.version("pip") == ""


def test_a_python_without_venv_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(TunerError, match="without its venv module") as caught:
        environment.ensure(Venv(tmp_path / ".venv"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt install python{version}-venv" in str(caught.value)


def test_a_venv_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TunerError, match="could not be made") as caught:
        environment.ensure(Venv(tmp_path / "file" / ".venv"))
    assert "Traceback" not in str(caught.value)


def test_too_little_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    environment.check_space(tmp_path, 0.0)
    with pytest.raises(TunerError, match="about 1000000 GB are needed"):
        environment.check_space(tmp_path, 1e6)


def test_children_keep_pips_configuration_but_no_foreign_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    env = environment.child_environment(MORE="1")
    assert "PYTHONPATH" not in env
    assert (env["PIP_FIND_LINKS"], env["PYTHONUTF8"], env["MORE"]) == ("/wheels", "1", "1")
