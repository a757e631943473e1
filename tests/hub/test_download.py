"""A download against a server of our own: sizes, progress, stopping, going on, and what goes wrong."""

import json
import time

import pytest
from huggingface_hub import try_to_load_from_cache

from tests.hub.conftest import REPOSITORY
from tuner.errors import DiskFull, TunerError
from tuner.hub import download
from tuner.hub.download import Download, File

PATIENCE_SECONDS = 60
HEADER = json.dumps({"a": {"dtype": "U8", "shape": [40_000_000], "data_offsets": [0, 40_000_000]}}).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(40_000_000)


@pytest.fixture
def model(hub):
    hub.files |= {
        "model_index.json": b"{}",
        "transformer/w.safetensors": WEIGHTS,
        "vae/config.json": b"{}",
        "flux1-dev.safetensors": b"large, and not read",
        "README.md": b"words",
    }
    return hub


def until(condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_only_what_a_run_reads_is_wanted(model) -> None:
    assert {one.name: one.num_bytes for one in download.wanted(REPOSITORY)} == {
        "model_index.json": 2,
        "transformer/w.safetensors": len(WEIGHTS),
        "vae/config.json": 2,
    }
    assert len(download.wanted(REPOSITORY, with_transformer=False)) == 2


def test_a_stopped_download_goes_on_where_it_was(model) -> None:
    model.slow = True
    one = Download()
    one.start(REPOSITORY, download.wanted(REPOSITORY))
    weights = lambda: next(file for file in one.files if file.name.startswith("transformer"))  # noqa: E731
    until(lambda: weights().speed > 0)
    assert 0 < weights().done < len(WEIGHTS) and weights().seconds_left > 0
    with pytest.raises(TunerError, match="being downloaded"):
        one.start(REPOSITORY, one.files)
    one.stop()
    assert one.state == "stopped"
    one._process.wait()
    model.slow, model.asked[:] = False, []
    one.start(REPOSITORY, download.wanted(REPOSITORY))
    until(lambda: one.state != "running")
    assert (one.state, one.problem) == ("done", "")
    assert any(kind == "range" for kind, _ in model.asked)
    assert weights().done == len(WEIGHTS)
    with open(try_to_load_from_cache(REPOSITORY, "transformer/w.safetensors"), "rb") as file:
        assert file.read() == WEIGHTS
    assert all(file.done == file.num_bytes for file in download.wanted(REPOSITORY))


def test_a_file_that_is_not_what_it_says_fails(model) -> None:
    model.files["transformer/w.safetensors"] = WEIGHTS[:-5]
    one = Download()
    one.start(REPOSITORY, download.wanted(REPOSITORY))
    until(lambda: one.state != "running")
    assert one.state == "failed" and "not complete" in one.problem


def test_a_damaged_file_is_noticed_and_not_kept(model) -> None:
    files = [one for one in download.wanted(REPOSITORY) if one.name.startswith("transformer")]
    model.as_promised = b"other bytes"
    one = Download()
    one.start(REPOSITORY, files)
    until(lambda: one.state != "running")
    assert one.state == "failed" and "damaged" in one.problem
    assert try_to_load_from_cache(REPOSITORY, files[0].name) is None


def test_a_refusal_in_the_middle_is_a_sentence(model) -> None:
    files = download.wanted(REPOSITORY)
    model.gated = True
    one = Download()
    one.start(REPOSITORY, files)
    until(lambda: one.state != "running")
    assert one.state == "failed" and "licence" in one.problem


def test_a_disk_without_space_is_noticed_before(hub) -> None:
    files = (File("a", 9_000_000_000), File("b", 5_000_000_000, done=5_000_000_000))
    download.require_space(files, free_bytes=11_000_000_000)
    with pytest.raises(DiskFull, match="needs 9.4 GB; 8.8 GB"):
        download.require_space(files, free_bytes=9_500_000_000)
