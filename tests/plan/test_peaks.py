"""What runs took here corrects the forecast of the next ones, and is kept without a word about the user."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.plan.test_fitting import FLUX, card, flux
from tests.plan.test_memory import CPU, pictures_of
from tuner import files, presets
from tuner.errors import WillNotFit
from tuner.machine import Reading
from tuner.plan import fitting, make, memory, peaks
from tuner.plan.peaks import FORECAST, Need
from tuner.settings.run import RunSettings

HERE = card(24.0)


def learn(
    settings: RunSettings, folder: Path, on: Reading = HERE, edge: int = 1024, **factors: float
) -> dict[str, float]:
    """As if a run had taken `factors` of the passing part of its phases; -> their peaks."""
    index, found = pictures_of(folder, edge), {}
    for one in memory.estimates(settings, index, on, fitting.choose(settings, index, on)):
        if one.phase in factors:
            found[one.phase] = one.vram.lasting_gb + factors[one.phase] * one.vram.passing_gb
            peaks.remember(one, found[one.phase], None)
    return found


def need(
    settings: RunSettings, folder: Path, phase: str = "train", on: Reading = HERE, edge: int = 1024
) -> Need:
    index = pictures_of(folder, edge)
    return memory.forecast(settings, index, on, fitting.choose(settings, index, on))[phase]


def unfilled(folder: Path, **change: Any) -> RunSettings:
    return flux(folder, checkpointing_fill="never", **change)


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.25, 1.6, 3.0])
def test_the_same_load_is_what_was_measured(tmp_path: Path, factor: float) -> None:
    settings, big = unfilled(tmp_path), card(80.0)
    assert need(settings, tmp_path, on=big).whence == FORECAST
    measured = learn(settings, tmp_path, big, train=factor)["train"]
    found = need(settings, tmp_path, on=big)
    assert 0.97 * measured <= found.vram_gb <= 1.08 * measured
    assert found.whence.startswith("measured here on 20")
    assert need(settings, tmp_path, "load", big).whence == FORECAST


OTHERS: tuple[dict[str, Any], ...] = (
    {"lora_rank": 64},
    {"use_ema": True},
    {"flux_lora_target": "all"},
    {"modulation_eviction": "always"},
    {"musubi_blocks_to_swap": 20},
    {"gradient_checkpointing_interval": 2},
)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
@pytest.mark.parametrize("factor", [0.75, 1.3, 1.7])
def test_another_load_of_the_kind_is_corrected_in_its_passing_part(
    tmp_path: Path, other: dict[str, Any], factor: float
) -> None:
    """A card that takes `factor` of each step's estimate is forecast, once a run at 768 px was seen on it."""
    big = card(80.0)
    settings = unfilled(tmp_path, **other)
    truth = learn(settings, tmp_path, big, train=factor)["train"]
    peaks.FILE.unlink()
    learn(unfilled(tmp_path), tmp_path, big, edge=768, train=factor)
    found = need(settings, tmp_path, on=big)
    assert 0.97 * truth <= found.vram_gb <= 1.08 * truth
    assert found.whence.startswith("forecast, corrected by a run here on 20")


def test_a_single_run_never_doubles_the_forecast_of_others(tmp_path: Path) -> None:
    plain = need(unfilled(tmp_path), tmp_path).vram_gb
    learn(unfilled(tmp_path), tmp_path, edge=512, train=50.0)
    assert plain < need(unfilled(tmp_path), tmp_path).vram_gb < 2 * plain


@pytest.mark.parametrize(
    "change", [{"base_model_precision": "nf4-bnb"}, {"mixed_precision": "no"}, {"optimizer": "prodigy"}]
)
def test_another_kind_learns_nothing_from_it(tmp_path: Path, change: dict[str, Any]) -> None:
    learn(unfilled(tmp_path), tmp_path, train=1.5)
    assert need(unfilled(tmp_path, **change), tmp_path, on=card(80.0)).whence == FORECAST


def test_neither_does_another_card(tmp_path: Path) -> None:
    learn(unfilled(tmp_path), tmp_path, train=1.5)
    for other in (replace(HERE, gpu_name="another"), CPU):
        assert need(unfilled(tmp_path), tmp_path, on=other).whence == FORECAST


def test_of_one_load_the_largest_of_the_latest_counts(tmp_path: Path) -> None:
    settings = unfilled(tmp_path)
    first, second = (learn(settings, tmp_path, train=factor)["train"] for factor in (1.6, 1.2))
    assert need(settings, tmp_path).vram_gb == pytest.approx(first, abs=0.01)
    for _ in range(peaks.NUM_ALIKE - 1):
        learn(settings, tmp_path, train=1.2)
    assert need(settings, tmp_path).vram_gb == pytest.approx(second, abs=0.01)


def test_what_was_learned_decides_what_leaves_the_card(tmp_path: Path) -> None:
    settings, index, small = flux(tmp_path), pictures_of(tmp_path, 1024), card(12.0)
    before = fitting.choose(settings, index, small)
    learn(settings, tmp_path, small, train=1.5)
    after = fitting.choose(settings, index, small)
    assert len(after.streamed) > len(before.streamed)
    needs = memory.forecast(settings, index, small, after)
    assert needs["train"].vram_gb <= fitting.MARGIN * 12.0


def test_what_will_not_fit_is_refused_by_what_was_measured(tmp_path: Path) -> None:
    own = {"musubi_blocks_to_swap": 0, "block_streaming": "never", "modulation_eviction": "never"}
    settings, index, here = unfilled(tmp_path, **own), pictures_of(tmp_path, 1024), card(14.0)
    make.refuse_misfit(make.make(settings, index, here), here)
    measured = learn(settings, tmp_path, here, load=5.0)["load"]
    with pytest.raises(WillNotFit, match=f"the model alone needs about {measured:.0f} GB") as refused:
        make.refuse_misfit(make.make(settings, index, here), here)
    assert refused.value.advice[0].change


def test_presets_say_whence_they_know(tmp_path: Path) -> None:
    preset, here = next(one for one in presets.listed() if one.name == "24gb-int8"), card(24.0)
    assert presets.outlook(preset, here).whence == FORECAST
    settings = files.changed(presets.settings_of(preset.name), {"memory.checkpointing_fill": "never"})
    estimate = memory.estimates(settings, presets.one_picture(settings), here)[3]
    peaks.remember(estimate, 17.25, 3.5)
    found = presets.outlook(preset, here)
    assert found.whence.startswith("measured here on 20")
    assert (found.vram_gb, found.ram_gb) == (17.25, 3.5)


def test_neither_paths_nor_names_are_kept(tmp_path: Path) -> None:
    learn(unfilled(tmp_path), tmp_path, text=1.1, load=1.1, train=1.1)
    written = peaks.FILE.read_text(encoding="utf-8")
    assert str(tmp_path) not in written and FLUX not in written and "sks" not in written
    assert len(json.loads(written)) == 3
    assert list(peaks.FILE.parent.iterdir()) == [peaks.FILE]


def test_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "NUM_KEPT", 4)
    for _ in range(3):
        learn(unfilled(tmp_path), tmp_path, load=1.0, train=1.0)
    assert [one.phase for one in peaks.known()] == ["load", "train"] * 2


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "[[]]", '[{"kind": []}]', "7"])
def test_a_damaged_file_is_none(tmp_path: Path, damaged: str) -> None:
    peaks.FILE.write_text(damaged, encoding="utf-8")
    assert peaks.known() == ()
    learn(unfilled(tmp_path), tmp_path, train=1.2)
    assert need(unfilled(tmp_path), tmp_path).whence.startswith("measured")


def test_impossible_figures_are_no_measurement(tmp_path: Path) -> None:
    learn(unfilled(tmp_path), tmp_path, train=1.2)
    written = peaks.FILE.read_text(encoding="utf-8")
    (one,) = json.loads(written)
    for name, value in (("peak_gb", -1.0), ("passing_gb", 0.0), ("peak_gb", float("nan"))):
        peaks.FILE.write_text(json.dumps([{**one, name: value}]), encoding="utf-8")
        peaks._read.cache_clear()
        assert peaks.known() == ()


def test_a_full_disk_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(peaks.os, "replace", full)
    learn(unfilled(tmp_path), tmp_path, train=1.2)
    assert peaks.known() == () and list(peaks.FILE.parent.iterdir()) == []
