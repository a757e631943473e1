"""ComfyUI on Setup, and the folder and the wish that are kept there."""

from __future__ import annotations

import pytest

from tuner.errors import TunerError
from tuner.export import comfyui
from tuner.ui import comfy_part, delivery, wording
from tuner.ui.delivery import Delivery


def test_comfyui_is_listed_where_it_is(desk, monkeypatch, tmp_path) -> None:
    one = comfyui.Install("portable", tmp_path, tmp_path / "models" / "loras", "http://127.0.0.1:8188")
    monkeypatch.setattr(comfyui, "installs", lambda: (one,))
    assert str(one.loras) in comfy_part.installs() and "8188" in comfy_part.installs()
    assert comfy_part.state(desk) == "found (portable)"
    monkeypatch.setattr(comfyui, "installs", lambda: ())
    assert wording.COMFYUI_NONE in comfy_part.installs() and comfy_part.state(desk) == wording.NO_COMFYUI


def test_what_is_asked_for_is_kept(desk, tmp_path) -> None:
    assert comfy_part.show(desk)[1:] == ["", False]
    comfy_part.keep(desk, f" {tmp_path} ", True)
    assert delivery.read(desk.session.root) == Delivery(str(tmp_path), True)
    assert comfy_part.show(desk)[1:] == [str(tmp_path), True] and comfy_part.state(desk) == str(tmp_path)
    with pytest.raises(TunerError, match="does not exist"):
        comfy_part.keep(desk, "/nowhere/at all", True)
    assert delivery.read(desk.session.root).folder == str(tmp_path)
