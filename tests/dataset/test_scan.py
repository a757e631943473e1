from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.dataset.made import LANDSCAPE, dataset, pictures, settings
from tuner.dataset.index import DatasetIndex
from tuner.dataset.scan import find, scan
from tuner.errors import EmptyDataset, SettingsInvalid


def names(index: DatasetIndex) -> list[str]:
    return [picture.path.name for picture in index.pictures]


def reasons(index: DatasetIndex) -> dict[str, str]:
    return {one.path.name: one.reason for one in index.left_out}


def test_pictures_come_in_natural_order_with_everything_known(tmp_path: Path) -> None:
    pictures(tmp_path, "shot 10.png", "Shot 2.jpg", "deep/er/shot 1.webp", "Ä ö 😀.PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    index = scan(settings(dataset(tmp_path, repeats=4, probability=0.5, train_batch_size=2)))
    assert names(index) == ["shot 1.webp", "Shot 2.jpg", "shot 10.png", "Ä ö 😀.PNG"]
    (entry,) = index.datasets
    assert (entry.id, entry.repeats, entry.probability, entry.batch_size) == ("set", 4, 0.5, 2)
    first = index.pictures[0]
    assert first.path.is_absolute() and first.dataset == "set" and first.captions == ("shot 1",)
    assert first.original_size == first.resize_size == first.target_size == (64, 64)
    assert (first.crop_top_left, first.aspect_bucket, first.enlargement) == ((0, 0), "1.0", 1.0)
    assert len({one.content for one in index.pictures}) == 4 and not index.left_out and not index.notes


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", ".hidden.png", "._a.jpg", ".trash/b.png")
    assert names(scan(settings(dataset(tmp_path)))) == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_once(tmp_path: Path) -> None:
    pictures(tmp_path, "set/a.png", "elsewhere/b.png", "c.png")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "c.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "set" / "gone.png").symlink_to(tmp_path / "gone.png")
    index = scan(settings(dataset(tmp_path / "set")))
    assert names(index) == ["a.png", "c.png", "b.png"]
    assert "cannot be opened" in reasons(index)["gone.png"]


def test_a_relative_folder_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path, "set/a.png")
    monkeypatch.chdir(tmp_path)
    assert scan(settings(dataset(Path("set")))).pictures[0].path == tmp_path / "set" / "a.png"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_listed(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "locked.png", "closed/b.png")
    (tmp_path / "locked.png").chmod(0)
    (tmp_path / "closed").chmod(0)
    told = reasons(scan(settings(dataset(tmp_path))))
    (tmp_path / "closed").chmod(0o700)
    assert "cannot be opened" in told["locked.png"] and "folder cannot be read" in told["closed"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path, "a.png", "closed/b.png")
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    files, unreadable = find(tmp_path)
    assert [path.name for path in files] == ["a.png"]
    assert unreadable == [(tmp_path / "closed", "The folder cannot be read (Permission denied).")]


def test_exif_counts_before_the_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", LANDSCAPE).save(tmp_path / "turned.jpg", exif=exif)
    assert scan(settings(dataset(tmp_path))).pictures[0].original_size == (64, 128)


def test_every_missing_folder_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid) as caught:
        scan(settings(dataset(tmp_path / "gone", "one"), dataset(tmp_path / "file", "two")))
    assert [problem.path for problem in caught.value.problems] == [
        "datasets.one.instance_data_dir",
        "datasets.two.instance_data_dir",
    ]
    assert str(tmp_path / "gone") in caught.value.message and str(tmp_path / "file") in caught.value.message


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(EmptyDataset, match="no pictures in") as caught:
        scan(settings(dataset(tmp_path)))
    assert str(tmp_path) in caught.value.message and caught.value.exit_code == 2 and caught.value.advice


def test_a_folder_in_which_nothing_can_be_used(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", size=(8, 8))
    with pytest.raises(EmptyDataset, match=r"None of the 2 pictures.*a\.png: 8 x 8 px is too small"):
        scan(settings(dataset(tmp_path)))


def test_datasets_that_are_off_are_not_looked_at(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png")
    off = dataset(tmp_path / "gone", "off", disabled=True)
    never = dataset(tmp_path / "gone", "never", probability=0.0)
    assert [entry.id for entry in scan(settings(off, dataset(tmp_path), never)).datasets] == ["set"]


def test_one_folder_at_two_resolutions(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", size=(256, 256))
    index = scan(settings(dataset(tmp_path, "small"), dataset(tmp_path, "large", resolution=128)))
    assert [(one.dataset, one.target_size) for one in index.pictures] == [
        ("small", (64, 64)),
        ("large", (128, 128)),
    ]
    assert len({one.content for one in index.pictures}) == 1


def test_pictures_with_the_same_stem_are_both_used(tmp_path: Path) -> None:
    assert names(scan(settings(dataset(pictures(tmp_path, "a.png", "a.jpg", "b/a.png"))))) == [
        "a.jpg",
        "a.png",
        "a.png",
    ]


def test_a_random_crop_aspect_stays_with_its_picture(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"{n}.png" for n in range(12)), size=(200, 200))
    one = dataset(tmp_path, crop=True, crop_aspect="random", crop_aspect_buckets=(1.0, 2.0))
    first, second = scan(settings(one)), scan(settings(one))
    assert first == second
    assert len({picture.target_size for picture in first.pictures}) == 2


def test_a_sample_of_a_folder_stays_the_same(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"{n}.png" for n in range(20)))
    pictures(tmp_path, "3.png", size=(8, 8))
    some = names(scan(settings(dataset(tmp_path, max_num_samples=7))))
    assert len(some) in (6, 7) and some == sorted(some, key=lambda name: int(name[:-4]))
    assert names(scan(settings(dataset(tmp_path, max_num_samples=7)))) == some
    assert names(scan(settings(dataset(tmp_path, "other", max_num_samples=7)))) != some
    assert len(scan(settings(dataset(tmp_path, max_num_samples=99))).pictures) == 19


def test_what_else_a_dataset_says_is_kept(tmp_path: Path) -> None:
    one = dataset(
        pictures(tmp_path, "a.png"),
        is_regularisation_data=True,
        timestep_sampling_offset=-0.5,
        start_step=3,
        end_epoch=4,
        end_step=0,
    )
    (entry,) = scan(settings(one)).datasets
    assert entry.is_regularisation and entry.timestep_offset == -0.5
    assert (entry.start_epoch, entry.start_step, entry.end_epoch, entry.end_step) == (1, 3, 4, None)


def two_shapes(folder: Path) -> Path:
    pictures(folder, "a.png", "b.png", "c.png")
    return pictures(folder, "wide.png", size=LANDSCAPE)


def test_with_a_minimum_size_small_buckets_are_left_out(tmp_path: Path) -> None:
    one = dataset(two_shapes(tmp_path), minimum_image_size=32, train_batch_size=2)
    pruned = scan(settings(one))
    assert names(pruned) == ["a.png", "b.png", "c.png"]
    assert "Only 1 of 128 x 64 px" in reasons(pruned)["wide.png"]
    assert len(scan(settings(one, disable_bucket_pruning=True)).pictures) == 4
    assert len(scan(settings(dataset(tmp_path, train_batch_size=2))).pictures) == 4


def test_oversubscription_raises_repeats_and_says_so(tmp_path: Path) -> None:
    one = dataset(two_shapes(tmp_path), train_batch_size=4)
    index = scan(settings(one, allow_dataset_oversubscription=True))
    assert index.datasets[0].repeats == 3 and "raised to 3" in index.notes[0]
    assert scan(settings(one)).datasets[0].repeats == 0
    given = dataset(tmp_path, train_batch_size=4, repeats=1)
    kept = scan(settings(given, allow_dataset_oversubscription=True))
    assert kept.datasets[0].repeats == 1 and not kept.notes
