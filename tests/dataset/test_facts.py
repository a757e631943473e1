from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.dataset.made import LANDSCAPE, dataset, pictures, settings
from tests.house import ROOT
from tuner.dataset import facts, workers
from tuner.dataset.facts import Facts, examine, facts_of
from tuner.dataset.keys import content_key
from tuner.dataset.scan import scan
from tuner.dataset.signs import Signs


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Four pictures that are enough to be remembered, read in this process."""
    monkeypatch.setattr(workers, "FEW_FILES", 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    folder = pictures(tmp_path / "set", "a.png", "b.jpg", "deep/c.webp", "d.png", size=LANDSCAPE)
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened."""
    opened: list[str] = []

    def watched(path: Path) -> Facts | str:
        opened.append(path.name)
        return examine(path)

    monkeypatch.setattr(facts, "examine", watched)
    return opened


def test_bytes_and_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", LANDSCAPE).save(path, exif=exif)
    assert examine(path) == Facts(content_key(path.read_bytes()), (64, 128), Signs(turned=True))
    assert "cannot be opened" in str(examine(tmp_path / "gone.png"))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jxl", "JPEG XL"), ("a.PSD", "Photoshop"), ("a.nef", "raw camera")]
)
def test_pictures_of_other_programs_are_named(tmp_path: Path, name: str, kind: str) -> None:
    pictures(tmp_path, "a.png")
    (tmp_path / name).write_bytes(b"x")
    index = scan(settings(dataset(tmp_path)))
    assert [one.path.name for one in index.pictures] == ["a.png"]
    assert index.left_out[0].path.name == name and f"Files of the {kind} kind" in index.left_out[0].reason


def test_a_second_look_opens_nothing(many: list[Path], examined: list[str], tmp_path: Path) -> None:
    first = facts_of(many, tmp_path / "kept" / "set.json")
    assert len(examined) == 4 and list(first) == many
    assert facts_of(many, tmp_path / "kept" / "set.json") == first and len(examined) == 4
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["set.json"]


def test_what_changed_is_opened_again(many: list[Path], examined: list[str], tmp_path: Path) -> None:
    memory = tmp_path / "set.json"
    first = facts_of(many, memory)
    data = many[0].read_bytes()
    Image.new("RGB", LANDSCAPE, "white").save(many[0])
    os.utime(many[1])
    many[2].with_name("new.png").write_bytes(data)
    files = [*many[:3], many[2].with_name("new.png")]
    examined.clear()
    second = facts_of(files, memory)
    assert sorted(examined) == sorted([many[0].name, many[1].name, "new.png"])
    assert second[many[0]] != first[many[0]] and second[many[1]] == first[many[1]]
    assert list(json.loads(memory.read_text())["files"]) == [str(path) for path in second], (
        "gone ones are gone"
    )


def test_what_is_broken_is_looked_at_again(many: list[Path], examined: list[str], tmp_path: Path) -> None:
    many[0].write_bytes(b"")
    for _ in range(2):
        examined.clear()
        assert facts_of(many, tmp_path / "set.json")[many[0]] == "The file is empty."
    assert examined == [many[0].name]


@pytest.mark.parametrize(
    "damage", ["", "[]", "{", '{"recipe": "other", "files": {}}', '{"recipe": "R", "files": {"F": [1, 2]}}']
)
def test_a_damaged_memory_is_made_anew(
    many: list[Path], examined: list[str], tmp_path: Path, damage: str
) -> None:
    memory = tmp_path / "set.json"
    first = facts_of(many, memory)
    recipe = json.loads(memory.read_text())["recipe"]
    memory.write_text(damage.replace("R", recipe).replace("F", str(many[0])))
    assert facts_of(many, memory) == first and len(examined) == 8
    assert facts_of(many, memory) == first and len(examined) == 8


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_memory_that_cannot_be_written_is_told(
    many: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert facts_of(many, tmp_path / "closed" / "set.json") and "cannot be written" in caplog.text


def test_a_small_folder_leaves_no_trace(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", "a.png")
    assert len(facts_of(list(folder.iterdir()), tmp_path / "set.json")) == 1
    assert not (tmp_path / "set.json").exists()


def test_a_few_files_are_opened_once_in_a_process(tmp_path: Path, examined: list[str]) -> None:
    files = sorted(pictures(tmp_path / "set", "a.png", "b.png").iterdir())
    first = facts_of(files, tmp_path / "set.json")
    Image.new("RGB", LANDSCAPE, "white").save(files[1])
    second = facts_of(files, tmp_path / "set.json")
    assert examined == ["a.png", "b.png", "b.png"]
    assert second[files[0]] == first[files[0]] and second[files[1]] != first[files[1]]


def test_a_scan_remembers_beside_the_other_caches(many: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    asked = settings(dataset(tmp_path / "set"), cache_dir=str(cache))
    assert scan(asked) == scan(asked)
    assert len(list((cache / "pictures").iterdir())) == 1
    assert not [path for path in (tmp_path / "set").rglob("*.json")]


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "set", *(f"{n}.png" for n in range(6)))
    (folder / "broken.png").write_bytes(b"no picture")
    files = sorted(folder.iterdir())
    monkeypatch.setattr(workers, "FEW_FILES", 1)
    assert facts_of(files, tmp_path / "set.json") == {path: examine(path) for path in files}


def test_workers_bring_neither_torch_nor_the_page_along() -> None:
    look = "import sys, tuner.dataset.facts; print(*({'torch', 'gradio', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
