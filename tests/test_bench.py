"""The benchmarks run and give figures; how large they are is a matter of docs/measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuner import bench, cli
from tuner.bench import load, loop, shared, synthetic
from tuner.bench.shared import Asked
from tuner.errors import TunerError
from tuner.flux import loading
from tuner.flux.headers import entries
from tuner.plan.memory import Shape

TOY = Asked(rounds=1, toy=True)


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
    assert set(bench.BENCHMARKS) == {"step", "page", "load", "cache", "memory"}


def test_without_a_card_it_is_said_what_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in (Asked(card=10), Asked(random_weights=True)):
        with pytest.raises(TunerError, match="card|processor"):
            bench.measure("step", asked)


def test_what_went_wrong_on_one_side_is_told() -> None:
    with pytest.raises(TunerError, match="KeyError"):
        shared.figures("tuner.bench.synthetic", {})


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


def test_caching_at_toy_size() -> None:
    record = bench.measure("cache", TOY)
    json.dumps(record)
    for what in ("pictures", "captions"):
        assert record[f"{what}_per_second"] > 0 and record[f"{what}_ratio"] > 0


def test_a_whole_run_at_toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.whole, "CAPTIONS", (2,))
    record = bench.measure("memory", TOY)
    json.dumps(record)
    assert record["step_seconds"] > 0 and record["t5_2_captions_extra_host_gb"] < 0.3
    for phase in ("text", "latents", "load", "train", "train_with_previews"):
        assert record[f"{phase}_peak_host_gb"] > 0.1, phase
        assert record[f"{phase}_peak_vram_gb"] == 0 and record[f"{phase.split('_')[0]}_forecast_host_gb"] > 0


def test_a_synthetic_model_has_the_layers_of_flux(tmp_path: Path) -> None:
    spec = {"folder": str(tmp_path), "blocks": (1, 2), "holes": True}
    number = synthetic.write(spec)
    assert number == Shape(num_layers=1, num_single_layers=2).num_parameters
    files = loading.weight_files(loading.Source(str(tmp_path), "transformer"))
    assert len(files) == 2 and sum(one.num_values for one in entries(files).values()) == number
    assert (
        sum(path.stat().st_blocks * 512 for path in files) < 1e6 < sum(path.stat().st_size for path in files)
    )
