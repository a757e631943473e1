"""The benchmarks run and give figures; how large they are is a matter of docs/measurements."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.house import ROOT
from tuner import bench, cli
from tuner.bench import cache, guide, load, loop, shared, streaming, synthetic, tabs, text, whole
from tuner.bench.shared import Asked
from tuner.errors import TunerError
from tuner.flux import loading
from tuner.flux.headers import entries
from tuner.plan.sizes import Shape
from tuner.quantization import store_folder
from tuner.training import kept

TOY = Asked(rounds=1, toy=True)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in processes of its own runs here, which spares their imports."""

    def figures(module: str, spec: Any, environment: Mapping[str, str] | None = None) -> Any:
        if environment and "HF_HOME" in environment:
            monkeypatch.setattr(store_folder.constants, "HF_HOME", environment["HF_HOME"])
        found = import_module(module)
        measure = getattr(found, "measure", None) or found.write
        return json.loads(json.dumps(measure(json.loads(json.dumps(spec)))))

    monkeypatch.setattr(kept, "LEAST_BYTES", kept.LEAST_BYTES)
    for one in (load, cache, text, whole):
        monkeypatch.setattr(one, "figures", figures)


def test_a_short_step_benchmark_gives_every_figure() -> None:
    record = loop.against_bare(rounds=1, steps=loop.WARM_STEPS + 2)
    json.dumps(record)
    for side in ("bare", "ours"):
        assert record[f"{side}_step_cpu_seconds"] > 0
        assert record[f"{side}_start_cpu_seconds"] > record[f"{side}_step_cpu_seconds"]
    assert record["step_ratio"] == record["step_ratios"][0]


def test_every_benchmark_is_a_command() -> None:
    for name in bench.BENCHMARKS:
        given = cli.parser().parse_args(
            ["bench", name, "--json", "--toy", "--card", "10", "--random-weights"]
        )
        assert (given.what, given.card, given.toy, given.random_weights) == (name, 10.0, True, True)
    own = {"text", "guide", "streaming", "tabs"}
    assert set(bench.BENCHMARKS) == {"step", "page", "load", "cache", "memory", *own}


def test_without_a_card_it_is_said_what_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [("step", Asked(card=10))]
    asked += [(name, Asked(random_weights=True)) for name in ("step", "memory", "guide", "streaming")]
    for name, one in asked:
        with pytest.raises(TunerError, match="no NVIDIA card|hours on a processor"):
            bench.measure(name, one)


def test_what_went_wrong_on_one_side_is_told() -> None:
    with pytest.raises(TunerError, match="No module named"):
        shared.figures("tuner.nowhere", {})


@pytest.mark.usefixtures("in_this_process")
def test_loading_at_toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PRECISIONS", ("int8-quanto",))
    record = bench.measure("load", TOY)
    json.dumps(record)
    (case,) = record["cases"]
    assert case["equal_outputs"] and case["num_parameters"] > 5e6
    assert 0.005 < case["kept_gb"] < 0.01
    for way in ("", "store_only_", "first_start_", "second_start_"):
        assert -0.01 < case[f"{way}extra_host_gb"] < 0.2
    assert case["store_gb_per_second"] > 0 and case["disk_gb_per_second"] > 0
    assert record["int8_quanto_worst_extra_host_gb"] == case["extra_host_gb"]


@pytest.mark.usefixtures("in_this_process")
def test_caching_at_toy_size() -> None:
    record = bench.measure("cache", TOY)
    json.dumps(record)
    for what in ("pictures", "captions"):
        assert record[f"{what}_per_second"] > 0 and record[f"{what}_ratio"] > 0


@pytest.mark.usefixtures("in_this_process")
def test_a_whole_run_at_toy_size() -> None:
    record = bench.measure("memory", replace(TOY, card=6.0))
    json.dumps(record)
    assert record["step_seconds"] > 0
    for phase in ("text", "latents", "load", "train", "train_with_previews"):
        assert record[f"{phase}_peak_host_gb"] > 0.1, phase
        assert record[f"{phase}_peak_vram_gb"] == 0 and record[f"{phase.split('_')[0]}_forecast_host_gb"] > 0


@pytest.mark.usefixtures("in_this_process")
def test_reading_t5_by_layers_at_toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CAPTIONS", (2,))
    assert bench.measure("text", TOY)["2_captions_extra_host_gb"] < 0.3


RUN = {"step_seconds": 2.0, "train_with_previews_peak_vram_gb": 13.5, "train_forecast_vram_gb": 13.0}


def test_each_figure_of_the_guide_has_a_forecast_a_measurement_and_their_ratios(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phases = ("text", "latents", "load", "train", "export")
    peaks = {f"{phase}_peak_vram_gb": 10.0 + number for number, phase in enumerate(phases[:4])}
    host = {"export_peak_vram_gb": 1.0, "train_peak_host_gb": 3.0, "train_forecast_host_gb": 2.9}
    changes = []

    def run(_: Asked, change: Mapping[str, Any]) -> dict[str, float]:
        changes.append(change)
        return {**RUN, **peaks, **host}

    monkeypatch.setattr(guide, "measured_run", run)
    record = bench.measure("guide", TOY)
    json.dumps(record)
    assert [one["memory.base_model_precision"] for one in changes] == [one.precision for one in guide.ROWS]
    for one in record["rows"]:
        assert one["forecast_ratio"] <= one["most_ratio"]
        assert one["peak_vram_gb"] == 13.0 and one["with_previews_peak_vram_gb"] == 13.5
        assert one["ratio"] == round(13.0 / one["guide_gb"], 3)
        assert one["of_forecast_ratio"] == round(13.5 / 13.0, 3)


def test_streaming_is_judged_by_a_run_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: Asked, change: Mapping[str, Any]) -> dict[str, float]:
        return {"step_seconds": 2.1 if change.get("memory.musubi_blocks_to_swap") == 23 else 2.0}

    monkeypatch.setattr(streaming, "measured_run", run)
    record = bench.measure("streaming", Asked(rounds=2, random_weights=True))
    json.dumps(record)
    assert record["step_ratio"] == 1.05 and record["settings"]["num_blocks_streamed"] == 23


def test_the_table_of_the_guide_in_the_docs_is_what_the_command_says() -> None:
    page = (ROOT / "docs" / "measurements" / "README.md").read_text(encoding="utf-8")
    written = json.loads((ROOT / "docs" / "measurements" / "bench-guide.json").read_text(encoding="utf-8"))
    rows = bench.measure("guide", Asked())["rows"]
    assert written["rows"] == rows
    for one in rows:
        words = [one[name] for name in ("precision", "resolution_px", "guide_gb", "forecast_vram_gb")]
        assert (
            f"| {' | '.join(map(str, words))} | {one['forecast_ratio']} (limit {one['most_ratio']}) |" in page
        )


def test_a_synthetic_model_has_the_layers_of_flux(tmp_path: Path) -> None:
    spec = {"folder": str(tmp_path), "blocks": (1, 2), "holes": True}
    number = synthetic.write(spec)
    assert number == Shape(num_layers=1, num_single_layers=2).num_parameters
    files = loading.weight_files(loading.Source(str(tmp_path), "transformer"))
    assert len(files) == 2 and sum(math.prod(one.shape) for one in entries(files).values()) == number
    assert (
        sum(path.stat().st_blocks * 512 for path in files) < 1e6 < sum(path.stat().st_size for path in files)
    )


class _Told(tabs.Page):
    """A page whose app has one timer of each pace and one button; `asked` is what it was asked for."""

    def __init__(self, over: threading.Event) -> None:
        self.asked: list[dict[str, Any]] = []
        self.over = over
        super().__init__("http://127.0.0.1:1")

    def _answer(self, path: str, said: dict[str, Any] | None = None) -> bytes:
        if said is None:
            parts = [(1, {"value": 0.01}), (2, {"value": 1000}), (3, {"elem_id": "runs"})]
            events = [([1, "tick"], 2), ([2, "tick"], 3), ([3, "click"], 0)]
            config = {
                "components": [{"id": number, "props": props} for number, props in parts],
                "dependencies": [
                    {"id": 10 + number, "targets": [target], "inputs": [0] * inputs}
                    for number, (target, inputs) in enumerate(events)
                ],
            }
            return json.dumps(config).encode()
        self.asked.append(said)
        if len(self.asked) > 5:
            self.over.set()
        return json.dumps({"data": [f"stamp {len(self.asked)}"]}).encode()


def test_a_played_page_asks_as_its_timers_do_and_tells_what_it_was_told() -> None:
    over, ticks = threading.Event(), list[float]()
    page = _Told(over)
    page.press("runs", "continue:cat")
    assert page.asked[0]["fn_index"] == 12 and page.asked[0]["event_data"] == {"act": "continue:cat"}
    page.watch(over, ticks)
    quick = [one["data"] for one in page.asked[1:] if one["fn_index"] == 10]
    assert quick[:2] == [["", None], ["stamp 2", None]]
    assert [one["data"] for one in page.asked if one["fn_index"] == 11] == [["", None, None]]
    assert len(ticks) == len(page.asked) - 1
