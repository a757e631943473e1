"""The doctor's table, versions and places."""

from __future__ import annotations

from tuner.export import comfyui
from tuner.machine import Finding
from tuner.quantization import store_folder
from tuner.ui import setup_tab, wording


def test_each_finding_with_what_mends_it() -> None:
    shown = setup_tab.doctor(
        (Finding("Disk", "bad", "It is <full>.", "Free 2 GB."), Finding("Memory", "ok", "Enough."))
    )
    assert "It is &lt;full&gt;." in shown and "Free 2 GB." in shown
    assert 'class="state bad">mend' in shown and 'class="state ok">good' in shown


def test_the_kept_weights_are_shown_and_cleared(desk, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store_folder.constants, "HF_HOME", str(tmp_path / "hf"))
    kept = store_folder.folder() / "int8-quanto-ab" / "layer.safetensors"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(1_230_000_000)
    assert f"{store_folder.folder()}</code>: 1.2 GB" in setup_tab.show(desk)[-1]
    assert ": 0.0 GB" in setup_tab.clear(desk)[-1] and not kept.exists()


def test_versions_and_places(desk) -> None:
    doctor, _, _, places = setup_tab.show(desk)
    assert "Python" in doctor
    assert "6.31" in places and str(desk.runs.resolve()) in places


def test_layers_are_tried_on_a_click(monkeypatch) -> None:
    monkeypatch.setattr(setup_tab.tried, "findings", lambda: (Finding("NF4 layer", "ok", "Right."),))
    assert "NF4 layer" in setup_tab.try_layers()


def test_comfyui_is_listed_where_it_is(monkeypatch, tmp_path) -> None:
    one = comfyui.Install("portable", tmp_path, tmp_path / "models" / "loras", "http://127.0.0.1:8188")
    monkeypatch.setattr(comfyui, "installs", lambda: (one,))
    assert str(one.loras) in setup_tab.installs() and "8188" in setup_tab.installs()
    monkeypatch.setattr(comfyui, "installs", lambda: ())
    assert wording.COMFYUI_NONE in setup_tab.installs()
