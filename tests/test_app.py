"""What the console says where the page cannot open, without the seconds that a page takes."""

from __future__ import annotations

import socket

import pytest

import app


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """`main` works on the process; here it must not."""
    monkeypatch.setattr(app.os, "chdir", lambda _: None)
    monkeypatch.setattr(app.os, "environ", dict(app.os.environ))
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr(app.logging, "basicConfig", lambda **_: None)


def test_a_port_that_is_taken(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert app.main(["--port", str(port)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("FluxTuner is opening ...")
    assert f"Port {port} is taken" in said and f"--port {port + 1}" in said


def test_a_library_that_is_missing(capsys, monkeypatch) -> None:
    def open_without(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")

    monkeypatch.setattr(app, "_open", open_without)
    assert app.main([]) == 1
    said = capsys.readouterr().out
    assert "'gradio' is not installed" in said and "installer" in said


def test_ctrl_c(capsys, monkeypatch) -> None:
    def open_until_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_open", open_until_ctrl_c)
    assert app.main([]) == 0
    assert "FluxTuner is closed." in capsys.readouterr().out


def test_a_machine_that_is_not_described(capsys, tmp_path) -> None:
    with pytest.raises(SystemExit):
        app.main(["--machine", str(tmp_path / "nowhere.json")])
    assert "--machine: " in capsys.readouterr().err
