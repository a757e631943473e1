"""A LoRA on its way to ComfyUI: the file, its picture and its workflow, under a name that is new there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tuner.errors import Advice, TunerError
from tuner.export import place, server
from tuner.export.comfyui import Install
from tuner.export.workflow import Models, Workflow, stamped, workflow
from tuner.export.write import ExportReport
from tuner.files.run_folder import EMA_ADAPTER_FILE
from tuner.training.drawing import Scene, scene
from tuner.training.exporting import Finished, export_adapter

DRAWING_SECONDS = 600.0


@dataclass(frozen=True)
class Sent:
    """`report` is of the file in the run's own folder, where `workflow` and `picture` lie beside it. `lora`
    is the copy in ComfyUI and `listed` its name there, both None without one; `drawn` is what ComfyUI drew.
    """

    report: ExportReport
    workflow: Path
    picture: Path | None
    install: Install | None
    lora: Path | None
    listed: str | None
    notes: tuple[str, ...]
    drawn: Path | None = None


def send(
    finished: Finished,
    install: Install | None,
    dtype: str = "float32",
    sample: str | None = None,
    draw: bool = False,
) -> Sent:
    """Export, and copy to `install`; None is normal. Raises TunerError, and then nothing was overwritten.

    `sample` names the preview that the workflow repeats. `draw`: the running server draws it at once.
    """
    exports = finished.folder.exports
    exports.mkdir(parents=True, exist_ok=True)
    ending = "-ema" if finished.file == EMA_ADAPTER_FILE else ""
    wanted = f"{finished.folder.path.resolve().name}-{finished.step:06}{ending}.safetensors"
    name = place.free_name(wanted, exports, *([install.loras] if install else []))
    listed = install.name_of(install.loras / name) if install else name
    shown = scene(finished.settings, finished.folder, finished.step, listed, install, sample)
    report = export_adapter(finished, exports / name, dtype=dtype, shown=shown)
    both = workflow(shown.drawing)
    beside, picture = _beside(report.path, both, shown)
    notes, lora, drawn = report.notes, None, None
    if install:
        lora = _copied(report.path, picture, install)
        notes += (*_workflow_put(report.path.stem, both, install), *_references_put(shown, install))
        notes += tuple(_missing(shown.drawing.models, install))
    if draw:
        try:
            drawn = _drawn(report.path, both, install)
        except TunerError as error:
            notes += (f"ComfyUI has not drawn it. {error}",)
    return Sent(report, beside, picture, install, lora, listed if install else None, notes, drawn)


def _beside(export: Path, both: Workflow, shown: Scene) -> tuple[Path, Path | None]:
    """-> the workflow and the sample that carries it, where there is one"""
    document = export.with_name(place.free_name(f"{export.stem}.json", export.parent))
    place.write(_bytes(both), document)
    if shown.picture is None:
        return document, None
    picture = export.with_name(place.free_name(f"{export.stem}.png", export.parent))
    place.write(stamped(shown.picture, both), picture)
    return document, picture


def _copied(export: Path, picture: Path | None, install: Install) -> Path:
    lora = install.loras / export.name
    place.copy(export, lora)
    if picture:
        place.copy(picture, lora.with_name(place.free_name(f"{lora.stem}.png", lora.parent)))
    return lora


def _workflow_put(stem: str, both: Workflow, install: Install) -> Iterator[str]:
    """Into the sidebar of ComfyUI's page; a note where it could not be."""
    try:
        if install.address:
            server.add_workflow(install.address, f"{stem}.json", both.ui)
        elif install.workflows:
            install.workflows.mkdir(parents=True, exist_ok=True)
            name = place.free_name(f"{stem}.json", install.workflows)
            place.write(_bytes(both), install.workflows / name)
    except (TunerError, OSError) as error:
        yield f"The workflow is not in ComfyUI's sidebar; drop it on its page instead. {error}"


def _references_put(shown: Scene, install: Install) -> Iterator[str]:
    """Where kontext's workflow looks for the pictures that it works on."""
    folder = install.input
    for name, source in zip(shown.drawing.references, shown.references, strict=True):
        if folder is None or not folder.is_dir():
            yield f"Choose '{source.name}' as the picture in the workflow: ComfyUI's input folder is unknown."
            continue
        data = io.BytesIO()
        with Image.open(source) as image:
            image.convert("RGB").save(data, "PNG")
        place.write(data.getvalue(), folder / name)


def _missing(needed: Models, install: Install) -> Iterator[str]:
    """What the workflow names and this ComfyUI lacks."""
    kinds = {
        "diffusion_models": (needed.transformer,),
        "text_encoders": (needed.clip, needed.t5),
        "vae": (needed.vae,),
    }
    for kind, names in kinds.items() if install.root else ():
        for name in sorted(set(names) - set(install.models(kind))):
            yield f"This ComfyUI has no '{name}' in models/{kind}: choose another one in the workflow."


def _drawn(export: Path, both: Workflow, install: Install | None) -> Path:
    if install is None or install.address is None:
        raise TunerError("It is not running.", Advice("Start it, and send the LoRA once more."))
    data = server.draw(install.address, both.api, both.ui, DRAWING_SECONDS)
    path = export.with_name(place.free_name(f"{export.stem}-comfyui.png", export.parent))
    place.write(data, path)
    return path


def _bytes(both: Workflow) -> bytes:
    return json.dumps(both.ui, indent=1).encode()
