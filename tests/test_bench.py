"""The benchmarks run and give figures; how large they are is a matter of docs/measurements."""

import json

from tuner import bench, cli


def test_a_short_step_benchmark_gives_every_figure() -> None:
    record = bench.step(rounds=1, steps=bench.WARM_STEPS + 2)
    json.dumps(record)
    for side in ("bare", "ours"):
        assert record[f"{side}_step_cpu_seconds"] > 0
        assert record[f"{side}_start_cpu_seconds"] > record[f"{side}_step_cpu_seconds"]
    assert record["step_ratio"] == record["step_ratios"][0]


def test_every_benchmark_is_a_command() -> None:
    for name in ("step", "page"):
        assert cli.parser().parse_args(["bench", name, "--json"]).what == name
