from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.dataset.made import dataset, pictures, settings
from tuner.dataset.decoding import open_mask, open_picture, open_reference
from tuner.dataset.geometry import settle
from tuner.dataset.index import DatasetIndex, Picture
from tuner.dataset.keys import latent_key, mask_key, reference_key
from tuner.dataset.scan import scan
from tuner.errors import EmptyDataset


def scanned(folder: Path, kind: str = "mask", companion: Any = (), **values: Any) -> DatasetIndex:
    """Pictures in `pictures`, their companions in `other`."""
    other = dataset(folder / "other", "other", conditioning_type=kind, **dict(companion))
    return scan(settings(dataset(folder / "pictures", conditioning_data="other", **values), other))


def reasons(index: DatasetIndex) -> dict[str, str]:
    return {one.path.name: one.reason for one in index.left_out}


def half_white(path: Path, size: tuple[int, int] = (64, 64)) -> None:
    """White on the left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[:, : size[0] // 2] = 255
    Image.fromarray(values).save(path)


def test_masks_are_found_by_relative_stem(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.jpg", "deep/b.png", "c.png")
    pictures(tmp_path / "other", "a.png", "deep/b.webp", "b.png", "spare.png")
    index = scanned(tmp_path)
    (entry,) = index.datasets
    found = {one.path.name: one for one in entry.pictures}
    mask = found["a.jpg"].mask
    assert mask is not None and mask.path == tmp_path / "other" / "a.png"
    assert (mask.kind, mask.dataset, mask.original_size, mask.place) == ("mask", "other", (64, 64), None)
    assert found["b.png"].mask is not None and found["b.png"].mask.path.parent.name == "deep"
    assert found["c.png"].mask is None
    assert "no mask in" in found["c.png"].remarks[0] and not found["a.jpg"].remarks and not index.left_out


def test_a_dataset_may_name_its_source(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png")
    pictures(tmp_path / "other", "a.png")
    masks = dataset(tmp_path / "other", "m", conditioning_type="segmentation", source_dataset_id="set")
    (one,) = scan(settings(masks, dataset(tmp_path / "pictures"))).pictures
    assert one.mask is not None and one.mask.kind == "segmentation"


def test_masks_below_their_pictures_are_no_pictures(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "masks/a.png")
    masks = dataset(tmp_path / "masks", "m", conditioning_type="mask")
    (one,) = scan(settings(dataset(tmp_path, conditioning_data=("m",)), masks)).pictures
    assert one.path == tmp_path / "a.png" and one.mask is not None


def test_masks_that_do_not_fit_leave_their_picture_out(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "good.png", "shape.png", "broken.png", "two.png")
    half_white(tmp_path / "other" / "good.png", (16, 16))
    half_white(tmp_path / "other" / "shape.png", (64, 32))
    (tmp_path / "other" / "broken.png").write_text("no picture")
    pictures(tmp_path / "other", "two.jpg", "two.webp")
    index = scanned(tmp_path)
    assert [one.path.name for one in index.pictures] == ["good.png"]
    told = reasons(index)
    assert "is 64 x 32 px, which is not the shape of 64 x 64 px" in told["shape.png"]
    assert "broken.png' cannot be used. It is not a picture" in told["broken.png"]
    assert "It has 2 masks" in told["two.png"] and "keep one" in told["two.png"]


def test_of_two_the_one_with_the_same_ending_is_taken(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png")
    pictures(tmp_path / "other", "a.jpg", "a.png")
    (one,) = scanned(tmp_path).pictures
    assert one.mask is not None and one.mask.path.suffix == ".png"


def test_no_mask_at_all_is_a_mistake(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png")
    pictures(tmp_path / "other", "a_mask.png")
    with pytest.raises(EmptyDataset, match="No file in .*other.* has the name of a picture"):
        scanned(tmp_path)


def test_a_mask_is_cut_as_its_picture(tmp_path: Path) -> None:
    """Picture and mask show the same edge; the crop is drawn."""
    for name in ("pictures", "other"):
        half_white(tmp_path / name / "a.png", (300, 128))
    index = settle(scanned(tmp_path, crop=True, crop_style="random"), seed=3)
    (one,) = index.pictures
    assert one.crop_top_left not in (None, (0, 0))
    mask = open_mask(one)
    assert mask.mode == "RGB" and mask.size == one.target_size == (64, 64)
    assert np.abs(np.asarray(mask, int) - np.asarray(open_picture(one), int)).mean() < 8
    assert set(np.unique(np.asarray(mask))) <= {0, *range(100, 256)}, "averaging does not ring"


def test_what_is_transparent_in_a_mask_is_black(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png")
    (tmp_path / "other").mkdir()
    clear = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    clear.paste((255, 255, 255, 255), (0, 0, 32, 64))
    clear.save(tmp_path / "other" / "a.png")
    mask = open_mask(scanned(tmp_path).pictures[0])
    assert mask.getpixel((2, 2)) == (255, 255, 255) and mask.getpixel((62, 2)) == (0, 0, 0)


def test_a_picture_without_its_reference_is_left_out(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png", "b.png")
    pictures(tmp_path / "other", "a.png")
    index = scanned(tmp_path, "reference_strict")
    assert [one.path.name for one in index.pictures] == ["a.png"]
    assert "It has no reference picture in" in reasons(index)["b.png"]
    (reference,) = index.pictures[0].references
    assert reference.kind == "reference" and index.pictures[0].mask is None


def test_strict_references_are_cut_as_their_picture(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png", size=(300, 128))
    half_white(tmp_path / "other" / "a.png", (600, 256))
    (one,) = settle(scanned(tmp_path, "reference_strict", crop=True), seed=1).pictures
    (reference,) = one.references
    assert reference.place is None and open_reference(one, reference).size == one.target_size
    pictures(tmp_path / "other", "a.png", size=(64, 64))
    with pytest.raises(EmptyDataset, match="not the shape of 300 x 128 px"):
        scanned(tmp_path, "reference_strict")


def test_loose_references_keep_their_shape(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png", size=(128, 128))
    pictures(tmp_path / "other", "a.png", size=(200, 100))
    (one,) = scanned(tmp_path, "reference_loose", minimum_image_size=128).pictures
    (reference,) = one.references
    assert one.target_size == (64, 64)
    assert reference.place is not None and reference.place.target_size == (128, 64)
    assert open_reference(one, reference).size == (128, 64)


def test_loose_references_may_have_a_size_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png", size=(128, 128))
    pictures(tmp_path / "other", "a.png", size=(400, 200))
    own = {"resolution": 128, "crop": True}
    (one,) = scanned(tmp_path, "reference_loose", own).pictures
    place = one.references[0].place
    assert place is not None and (place.target_size, place.crop_top_left) == ((128, 128), (0, 64))


def test_mask_and_references_together(tmp_path: Path) -> None:
    for name in ("pictures", "masks", "one", "two"):
        pictures(tmp_path / name, "a.png")
    asked = settings(
        dataset(tmp_path / "pictures", conditioning_data=("m", "r1", "r2")),
        dataset(tmp_path / "two", "r2", conditioning_type="reference_loose"),
        dataset(tmp_path / "masks", "m", conditioning_type="mask"),
        dataset(tmp_path / "one", "r1", conditioning_type="reference_strict"),
    )
    (one,) = scan(asked).pictures
    assert one.mask is not None and {each.dataset for each in one.references} == {"r1", "r2"}


def test_keys_follow_pixels_and_crop(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", "a.png", size=(128, 64))
    pictures(tmp_path / "other", "a.png", size=(64, 32))
    (one,) = scanned(tmp_path, "reference_strict").pictures
    (reference,) = one.references
    masked = replace(one, mask=replace(reference, kind="mask"))
    moved = replace(masked, crop_top_left=(0, 8))
    segmented = replace(one, mask=replace(reference, kind="segmentation"))
    keys = {mask_key(masked), mask_key(moved), mask_key(segmented), reference_key(one, reference, "vae")}
    keys |= {reference_key(moved, reference, "vae"), reference_key(one, reference, "other")}
    assert len(keys | {latent_key(one, "vae")}) == 7
    with pytest.raises(ValueError, match="has no mask"):
        mask_key(one)
    same = _as_picture(one, reference.content)
    assert reference_key(one, reference, "vae") == latent_key(same, "vae"), "one picture, one entry"


def _as_picture(one: Picture, content: str) -> Picture:
    return replace(one, content=content, references=())
