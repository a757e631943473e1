from __future__ import annotations

from pathlib import Path

from tests.dataset.made import dataset, settings
from tests.dataset.test_doctor import add
from tests.dataset.test_signs import photograph
from tuner.dataset import doctor, mending, scan, undo
from tuner.settings.run import RunSettings


def wrong(asked: RunSettings) -> list[tuple[str, str]]:
    return [(Path(one.file).name, one.fix) for one in doctor.examine(scan.look(asked), [])]


def test_each_fix_settles_its_finding_and_can_be_undone(tmp_path: Path) -> None:
    folder, history = tmp_path / "set", tmp_path / "history"
    add(folder, "small.png", photograph(1, (100, 80)))
    (folder / "deep").mkdir()
    add(folder / "deep", "stranger.png", photograph(2), "a dog")
    add(folder, "red_car.png", photograph(3), None)
    asked = settings(dataset(folder, caption_strategy="textfile", instance_prompt="sks"), resolution=256)
    pictures = {path: path.read_bytes() for path in folder.rglob("*.png")}
    before = wrong(asked)
    assert before == [
        ("red_car.png", "write caption"), ("stranger.png", "add trigger"), ("small.png", "leave out"),
    ]  # fmt: skip
    for finding in doctor.examine(scan.look(asked), []):
        mending.mend([finding], {"set": scan.look(asked)[0].rules}, history)
    assert wrong(asked) == [("small.png", "take back")]
    assert (folder / "red_car.txt").read_text() == "sks red car\n"
    assert (folder / "deep" / "stranger.txt").read_text() == "sks a dog\n"
    (back,) = doctor.examine(scan.look(asked), [])
    mending.mend([back], {"set": scan.look(asked)[0].rules}, history)
    assert wrong(asked) == [("small.png", "leave out")]
    assert [undo.undo(history).title for _ in range(4)][0] == "Take it back: small.png"
    assert wrong(asked) == before and pictures == {path: path.read_bytes() for path in pictures}
    assert not [path for path in folder.rglob("*") if path.suffix not in (".png", ".txt") and path.is_file()]


def test_many_at_once_are_one_step(tmp_path: Path) -> None:
    folder, history = tmp_path / "set", tmp_path / "history"
    for number in range(3):
        add(folder, f"red_{number}.png", photograph(number), None)
    asked = settings(dataset(folder, caption_strategy="textfile"), resolution=256)
    found = doctor.examine(scan.look(asked), [])
    mending.mend(found, {"set": scan.look(asked)[0].rules}, history)
    assert [path.read_text() for path in sorted(folder.glob("*.txt"))] == ["red 0\n", "red 1\n", "red 2\n"]
    assert undo.undo(history).title == "Use its name as caption: 3 pictures"
    assert not list(folder.glob("*.txt"))


def test_every_fix_of_the_doctor_is_there() -> None:
    asked = {fix for _, fix in doctor.CAUSES.values()} | {fix for _, _, fix in doctor.CHECKS}
    assert asked - {""} == mending.FIXES.keys()
