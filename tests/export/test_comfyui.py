"""Every ComfyUI that lies in a usual place is found, and nothing else is taken for one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.export.fake_comfyui import FakeComfyUI
from tuner.errors import TunerError
from tuner.export import comfyui


def comfyui_at(folder: Path, sign: str = "main.py") -> Path:
    (folder / "models" / "loras").mkdir(parents=True)
    (folder / sign).touch()
    return folder


@pytest.mark.parametrize(
    ("below", "title"),
    [
        ("ComfyUI", "ComfyUI"),
        ("ComfyUI_windows_portable/ComfyUI", "ComfyUI portable"),
        ("StabilityMatrix/Data/Packages/ComfyUI", "ComfyUI StabilityMatrix"),
        ("pinokio/api/comfy.git/app", "ComfyUI Pinokio"),
    ],
)
def test_an_install_in_a_usual_place_is_found(below: str, title: str, tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / below)
    (found,) = comfyui.installs(None, [tmp_path])
    assert (found.title, found.root, found.loras) == (title, root, root / "models" / "loras")
    assert found.workflows == root / "user" / "default" / "workflows"


def test_a_folder_of_another_program_is_none(tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    assert comfyui.installs(None, [tmp_path, tmp_path / "missing"]) == ()


def test_the_desktop_app_is_found_by_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = comfyui_at(tmp_path / "elsewhere" / "models of mine", "user")
    settings = tmp_path / ".config" / "ComfyUI"
    settings.mkdir(parents=True)
    (settings / "config.json").write_text(json.dumps({"basePath": str(root)}))
    (settings / "extra_models_config.yaml").write_text("not: [closed")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found = [one for one in comfyui.installs(None) if one.root == root]
    assert [one.title for one in found] == ["ComfyUI desktop"]


def test_the_default_folder_of_extra_model_paths_comes_first(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    shared = tmp_path / "shared" / "loras"
    shared.mkdir(parents=True)
    (root / "extra_model_paths.yaml").write_text(
        "other:\n    base_path: ~/nowhere/\n    loras: models/Lora\nempty:\n"
        "mine:\n    base_path: ../shared\n    is_default: true\n    loras: |\n        loras\n        loha\n"
        "    unet: .\n"
    )
    (shared.parent / "flux1-dev.safetensors").touch()
    (found,) = comfyui.installs(None, [tmp_path])
    assert os.path.samefile(found.loras, shared)
    assert found.models("diffusion_models") == ("flux1-dev.safetensors",)


def test_a_broken_yaml_is_as_none(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    (root / "extra_model_paths.yaml").write_text("a: [b\n\tc")
    assert comfyui.installs(None, [tmp_path])[0].loras == root / "models" / "loras"


def test_a_running_one_says_where_its_folders_are(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "far" / "away")
    comfyui_at(tmp_path / "ComfyUI")
    with FakeComfyUI(loras=root / "models" / "loras") as server:
        first, second = comfyui.installs(server.address, [tmp_path, tmp_path / "far"])
    assert (first.address, first.root) == (server.address, root)
    assert second.address is None


def test_the_running_one_is_the_found_one(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI_windows_portable" / "ComfyUI")
    with FakeComfyUI(loras=root / "models" / "loras") as server:
        (found,) = comfyui.installs(server.address, [tmp_path])
    assert (found.title, found.address) == ("ComfyUI portable", server.address)


def test_folders_of_a_server_elsewhere_are_not_ours(tmp_path: Path) -> None:
    with FakeComfyUI(loras=Path("C:\\ComfyUI\\models\\loras")) as server:
        assert comfyui.installs(server.address, [tmp_path]) == ()


def test_no_server_and_a_stranger_are_normal(tmp_path: Path) -> None:
    assert comfyui.installs("http://127.0.0.1:9", [tmp_path]) == ()
    with FakeComfyUI(answers={"/experiment/models": b"<html>"}) as stranger:
        assert comfyui.installs(stranger.address, [tmp_path]) == ()


def test_what_the_user_names(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    flux = root / "models" / "loras" / "flux"
    flux.mkdir()
    assert comfyui.at(tmp_path).root == comfyui.at(root).root == comfyui.at(flux).root == root
    assert comfyui.at(flux).name_of(flux / "a.safetensors") == os.path.join("flux", "a.safetensors")
    assert comfyui.at(root).name_of(root / "models" / "loras" / "a.safetensors") == "a.safetensors"
    plain = tmp_path / "stick"
    plain.mkdir()
    assert (comfyui.at(plain).root, comfyui.at(plain).loras) == (None, plain)
    assert comfyui.at(plain).name_of(plain / "a.safetensors") == "a.safetensors"
    with pytest.raises(TunerError, match="does not exist"):
        comfyui.at(tmp_path / "missing")


def test_models_are_listed_by_their_path_below_the_folder(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    for name in (
        "diffusion_models/flux/krea.safetensors",
        "unet/dev.sft",
        "unet/dev.gguf",
        "unet/put_models_here",
    ):
        path = root / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert comfyui.at(root).models("diffusion_models") == (
        "dev.sft",
        os.path.join("flux", "krea.safetensors"),
    )
