"""The views of earlier runs, and their last sample made small."""

from __future__ import annotations

from PIL import Image

from tuner.ui import history
from tuner.ui.history import History
from tuner.view import RunView, Sample


def test_a_run_that_never_started_has_an_empty_view(tmp_path) -> None:
    view = History().view(tmp_path / "night")
    assert (view.run, view.state) == ("night", "idle")


def test_the_thumbnail_is_made_once_for_each_content(tmp_path) -> None:
    sample = tmp_path / "s.png"
    Image.new("RGB", (640, 320), "red").save(sample)
    view = RunView(samples=(Sample(1, "a", "a", 0, str(sample)),))
    small = history.thumbnail(view, tmp_path / "small")
    made = small.stat().st_mtime_ns
    with Image.open(small) as opened:
        assert opened.size == (128, 64)
    assert history.thumbnail(view, tmp_path / "small").stat().st_mtime_ns == made
    Image.new("RGB", (64, 640), "blue").save(sample)
    assert history.thumbnail(view, tmp_path / "small") != small
    assert not list((tmp_path / "small").glob("*.part"))


def test_without_a_sample_there_is_no_thumbnail(tmp_path) -> None:
    assert history.thumbnail(RunView(), tmp_path) is None
    gone = RunView(samples=(Sample(1, "a", "a", 0, str(tmp_path / "gone.png")),))
    assert history.thumbnail(gone, tmp_path) is None
