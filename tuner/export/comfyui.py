"""ComfyUI on this computer: where it lies, where it looks for models, and the names that it gives them."""

from __future__ import annotations

import json
import os
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import yaml

from tuner.errors import Advice, TunerError
from tuner.export import server

ENDINGS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".bin", ".pth", ".pkl")
"""Of the files that ComfyUI lists as models."""
_KINDS = {"diffusion_models": ("unet",), "text_encoders": ("clip",), "loras": (), "vae": ()}
"""Folders below `models`, with their former names."""
_EXTRA_PATHS = "extra_model_paths.yaml"
_SIGNS = ("main.py", "user", "custom_nodes")
"""One of these stands beside `models` in every ComfyUI, and in no other program that has `models/loras`."""

_FOLDERS = (
    ("portable", "ComfyUI_windows_portable/ComfyUI"),
    ("portable", "ComfyUI_windows_portable_nvidia/ComfyUI_windows_portable/ComfyUI"),
    ("", "ComfyUI"),
    ("", "comfy/ComfyUI"),
    ("StabilityMatrix", "StabilityMatrix/Packages/ComfyUI"),
    ("StabilityMatrix", "StabilityMatrix/Data/Packages/ComfyUI"),
    ("Pinokio", "pinokio/api/comfy.git/app"),
    ("Pinokio", "pinokio/api/comfyui.git/app"),
)
"""What an install is called, and how its folder is called where people put such things."""
_HOME_FOLDERS = ("", "Documents", "OneDrive/Documents", "Desktop", "Downloads", "AI", "git", "src", "apps")
_ROOM_FOLDERS = ("", "AI", "Apps", "Programs", "Tools")
_DESKTOP_SETTINGS = (".config/ComfyUI", "Library/Application Support/ComfyUI", "AppData/Roaming/ComfyUI")


@dataclass(frozen=True)
class Install:
    """`root` holds `models`, `input` and `user`; None for a folder of LoRAs that belongs to no ComfyUI.

    `address` is that of its server where one is running.
    """

    title: str
    root: Path | None
    loras: Path
    address: str | None = None

    @property
    def workflows(self) -> Path | None:
        """What the sidebar of the page lists."""
        return None if self.root is None else self.root / "user" / "default" / "workflows"

    @property
    def input(self) -> Path | None:
        """Where pictures lie that a workflow reads."""
        return None if self.root is None else self.root / "input"

    def name_of(self, lora: Path) -> str:
        """What ComfyUI calls a LoRA in `loras`: its path below the folder that it lists."""
        listed = [lora.parent, *lora.parent.parents]
        top = next((one for one in listed if one.name.lower() == "loras"), self.loras)
        return str(PurePath(*lora.relative_to(top).parts))

    def models(self, kind: str) -> tuple[str, ...]:
        """The names of the models of one kind (`vae`, `text_encoders` ...), as ComfyUI gives them."""
        found: set[str] = set()
        for folder in _listed(self.root, kind) if self.root else ():
            for place, _, files in os.walk(folder, followlinks=True):
                paths = (Path(place, name) for name in files if name.lower().endswith(ENDINGS))
                found.update(str(path.relative_to(folder)) for path in paths)
        return tuple(sorted(found))


def installs(
    address: str | None = server.ADDRESS, places: Sequence[Path] | None = None
) -> tuple[Install, ...]:
    """What is found on this computer, one that is running first; none is normal.

    `places` are the folders in which a ComfyUI may lie, by default the usual ones.
    """
    desktop = _desktop(Path.home()) if places is None else ()
    found = [*_running(address), *desktop]
    for place in _usual_places() if places is None else places:
        found += [_install(place / below, title) for title, below in _FOLDERS if is_comfyui(place / below)]
    different: dict[Path, Install] = {}
    for one in found:
        running = different.get(one.loras.resolve())
        different[one.loras.resolve()] = replace(one, address=running.address) if running else one
    return tuple(different.values())


def at(folder: Path) -> Install:
    """What the user names: a ComfyUI, a folder that holds one, or any folder to put LoRAs into."""
    if not os.path.isdir(folder):
        raise TunerError(
            f"The folder '{folder}' does not exist.", Advice("Create it first, or name another.")
        )
    for below in ("", "ComfyUI", "ComfyUI_windows_portable/ComfyUI"):
        if is_comfyui(folder / below):
            return _install(folder / below, "")
    whole = folder.resolve()
    roots = [one.parent.parent for one in (whole, *whole.parents) if one.name == "loras"]
    root = next((one for one in roots if is_comfyui(one)), None)
    return Install("ComfyUI" if root else str(folder), root, folder)


def is_comfyui(folder: Path) -> bool:
    """Also where the folder may not be looked into: then it is none."""
    return os.path.isdir(folder / "models" / "loras") and any(
        os.path.exists(folder / sign) for sign in _SIGNS
    )


def _install(root: Path, title: str) -> Install:
    root = Path(os.path.abspath(root))
    return Install(f"ComfyUI {title}".strip(), root, _listed(root, "loras")[0])


def _running(address: str | None) -> Iterator[Install]:
    """A server may lie in a container or on another computer: then its folders are not here."""
    folders = server.folders(address) if address else {}
    for loras in folders.get("loras", ()):
        if os.path.isdir(loras):
            whole = Path(loras)
            root = whole.parent.parent if whole.parent.name == "models" else None
            yield Install("ComfyUI", root, whole, address)
            return


def _desktop(home: Path) -> Iterator[Install]:
    """The desktop app keeps models where its settings say."""
    for below in _DESKTOP_SETTINGS:
        for name, read in (("config.json", _base_of_config), ("extra_models_config.yaml", _base_of_paths)):
            base = read(home / below / name)
            if base and os.path.isdir(Path(base) / "models" / "loras"):
                yield _install(Path(base), "desktop")


def _base_of_config(file: Path) -> str | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get("basePath")
    except (OSError, ValueError, AttributeError):  # it is not our file: what cannot be read names no folder
        return None
    return found if isinstance(found, str) else None


def _base_of_paths(file: Path) -> str | None:
    bases = (entry.get("base_path") for entry in _entries(file))
    return next((base for base in bases if isinstance(base, str)), None)


def _listed(root: Path, kind: str) -> list[Path]:
    """The folders in which this ComfyUI looks for models of a kind, the one to write into first."""
    first: list[Path] = []
    rest = [root / "models" / name for name in (kind, *_KINDS[kind])]
    for entry in _entries(root / _EXTRA_PATHS):
        base = Path(os.path.expandvars(os.path.expanduser(str(entry.get("base_path") or "."))))
        texts = [entry[name] for name in (kind, *_KINDS[kind]) if isinstance(entry.get(name), str)]
        lines = [line.strip() for text in texts for line in text.split("\n") if line.strip()]
        folders = [root / base / line for line in lines]
        (first if str(entry.get("is_default")).lower() == "true" else rest).extend(folders)
    return [folder for folder in (*first, *rest) if os.path.isdir(folder)]


def _entries(file: Path) -> Iterator[Mapping[str, Any]]:
    """Of a file like extra_model_paths.yaml; with a broken one ComfyUI does not start, and we go without."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return
    if isinstance(document, dict):
        yield from (entry for entry in document.values() if isinstance(entry, dict))


def _usual_places() -> Iterator[Path]:
    """This program's own folder and the one around it, the user's folders, the tops of disks."""
    yield from (Path.cwd(), Path.cwd().parent)
    yield from (Path.home() / below for below in _HOME_FOLDERS)
    if sys.platform == "win32":
        disks = [Path(f"{letter}:/") for letter in string.ascii_uppercase if os.path.isdir(f"{letter}:/")]
        yield from (disk / below for disk in disks for below in _ROOM_FOLDERS)
    else:
        yield from (Path("/opt"), Path("/workspace"))
