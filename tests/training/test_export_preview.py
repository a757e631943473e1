"""The exported file draws what the training drew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.training.test_drawing import folder as folder
from tests.training.test_exporting import ADAPTERS, finished, lora
from tuner.errors import TunerError
from tuner.files import choice, from_export
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE, RunFolder
from tuner.settings.run import RunSettings
from tuner.training import export_preview
from tuner.training.export_preview import distance, preview_export
from tuner.training.exporting import export_adapter
from tuner.training.previews import render

ALIKE = 0.002
"""Half a grey level of 255: what float32 and rounding to bytes leave."""


@pytest.mark.parametrize("name", ["LoRA", "DoRA", "LoKr", "OFT on outputs", "IA3 on outputs", "full"])
def test_the_file_draws_what_training_drew(
    name: str, settings: RunSettings, folder: RunFolder, tmp_path: Path
) -> None:
    one = finished(settings, ADAPTERS[name])
    report = export_adapter(one, tmp_path / "out.safetensors")
    made = preview_export(one, report.path)
    assert made.theirs == folder.exports / "out-file.png" and made.ours == folder.exports / "out-training.png"
    assert made.distance < ALIKE and "draws what the training drew" in made.sentence
    shown = export_preview.scene(one.settings, folder, 7, "x").request()
    (untrained,) = render(one.settings, [shown], None)
    untrained.save(tmp_path / "untrained.png")
    assert distance(made.ours, tmp_path / "untrained.png") > 10 * made.distance


def test_training_s_own_picture_stands_beside_it(
    settings: RunSettings, folder: RunFolder, tmp_path: Path
) -> None:
    one = replace(finished(settings, lora()), step=6)
    report = export_adapter(one, tmp_path / "out.safetensors")
    made = preview_export(one, report.path, sample="tree")
    assert made.ours == folder.samples / "step_6_tree.png"
    assert made.distance > export_preview.VISIBLE, "it was painted black by the test"
    assert "not the same" in made.sentence and "was the model changed" in made.sentence
    choice.choose_strength(folder, 0.5)
    weaker = preview_export(one, report.path, sample="tree")
    assert weaker.ours == folder.exports / "out-training.png" and weaker.distance < ALIKE


def test_the_running_mean_is_compared_with_itself(
    settings: RunSettings, folder: RunFolder, tmp_path: Path
) -> None:
    plain = finished(settings, lora())
    mean = plain.checkpoint / EMA_ADAPTER_FILE
    mean.parent.mkdir()
    mean.write_bytes((plain.checkpoint / ADAPTER_FILE).read_bytes())
    one = replace(plain, step=6, file=EMA_ADAPTER_FILE)
    report = export_adapter(one, tmp_path / "out.safetensors")
    assert from_export.origin(report.path) == (6, True)
    assert preview_export(one, report.path).ours == folder.exports / "out-training.png"


def test_the_base_is_that_of_the_workflow(settings: RunSettings, folder: RunFolder, tmp_path: Path) -> None:
    """Trained on two bits, drawn on the whole model: another picture, and the reason is said."""
    one = finished(settings, lora() | {"memory.base_model_precision": "int2-quanto"})
    made = preview_export(one, export_adapter(one, tmp_path / "out.safetensors").path)
    assert (made.trained_on, made.precision) == ("int2-quanto", "no_change")
    assert made.distance > ALIKE
    said = replace(made, distance=0.1).sentence
    assert "10.0%" in said and "trained on int2-quanto, and ComfyUI will use the whole model" in said


def test_a_file_of_another_dialect_is_a_sentence(
    settings: RunSettings, folder: RunFolder, tmp_path: Path
) -> None:
    one = finished(settings, lora(use_dora=True))
    report = export_adapter(one, tmp_path / "out.safetensors", "diffusers")
    with pytest.raises(TunerError, match="would leave out"):
        preview_export(one, report.path)


def test_distance_is_a_share_of_the_whole_range(tmp_path: Path) -> None:
    for name, colour in (("black", (0, 0, 0)), ("white", (255, 255, 255)), ("red", (255, 0, 0))):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    assert distance(tmp_path / "black.png", tmp_path / "white.png") == 1.0
    assert distance(tmp_path / "black.png", tmp_path / "red.png") == pytest.approx(1 / 3)
    assert distance(tmp_path / "red.png", tmp_path / "red.png") == 0.0
