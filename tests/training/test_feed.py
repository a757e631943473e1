"""What the feed makes of cached entries: captions, padding, masks, references, and whose picture it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from tuner.dataset.batches import Batches
from tuner.dataset.cache import TensorCache
from tuner.dataset.decoding import open_mask
from tuner.dataset.index import Companion, DatasetEntry, DatasetIndex, Picture
from tuner.dataset.keys import content_key
from tuner.plan.sources import CacheNames
from tuner.training import encode
from tuner.training.feed import Caches, Feed, FeedRules, MicroBatch

SIZE = (64, 48)
GRID = (6, 8)
RULES = FeedRules(caption_dropout=0.0, mask_probability=1.0, hide_padding=False, all_references=False)


def companion(kind: str, content: str = "c") -> Companion:
    return Companion(Path(f"{content}.png"), content, kind, "other", SIZE)


def picture(number: int, mask: Companion | None = None, references: tuple[Companion, ...] = ()) -> Picture:
    return Picture(
        Path(f"{number}.png"), "set", str(number), SIZE, SIZE, SIZE, (0, 0), "", (f"word {number}",),
        mask, references,
    )  # fmt: skip


def caches(folder: Path, **more: bool) -> Caches:
    names = CacheNames(folder / "vae", folder / "text", "vae", "fp32", "encoders", 5)
    return Caches(TensorCache(names.latents), TensorCache(names.prompts), names, **more)


def put_prompts(into: Caches, *texts: str) -> None:
    for text in texts:
        words = len(text.split()) + 1
        mask = torch.arange(5) < words
        embeddings = torch.full((5, 3), float(words))
        into.prompts.put(
            into.prompt_key(text), {"pooled": torch.ones(2), "embeddings": embeddings, "mask": mask}
        )


def feed(into: Caches, *pictures: Picture, rules: FeedRules = RULES, **about: object) -> Iterator[MicroBatch]:
    """Batches of all these pictures at once."""
    for number, one in enumerate(pictures):
        latents = torch.full((4, *GRID), float(number))
        into.latents.put(into.latent_key(one), {"mean": latents, "std": torch.zeros(4, *GRID)})
        for reference in one.references:
            where = into.names.reference_key(one, reference)
            mean = torch.full((4, 4, 4), float(len(reference.content)))
            into.latents.put(where, {"mean": mean, "std": torch.ones(4, 4, 4)})
        put_prompts(into, *one.captions)
    put_prompts(into, "")
    entry = DatasetEntry("set", pictures, 0, 1.0, len(pictures), **about)
    batches = Batches(DatasetIndex((entry,)), seed=1)
    dice = torch.Generator().manual_seed(0)
    return iter(Feed(batches, into, {"set": entry}, rules, dice, torch.device("cpu"), torch.float32))


def order(one: MicroBatch) -> list[int]:
    """Which picture each item is, by its latents."""
    return [int(value) for value in one.latents.mean((1, 2, 3)).tolist()]


def put_mask(into: Caches, one: Picture, planes: Tensor) -> None:
    into.latents.put(into.names.mask_key(one), {"mask": planes.half()})


def planes(red: float, grey: float) -> Tensor:
    """Values in the left half, nothing in the right."""
    made = torch.zeros(2, *GRID)
    made[0, :, :4], made[1, :, :4] = red, grey
    return made


def test_captions_come_with_their_words_and_without_a_mask_unless_asked(tmp_path: Path) -> None:
    one = next(feed(caches(tmp_path), picture(0)))
    assert one.conditions.text_mask is None and one.mask is None and one.keep is None
    assert one.conditions.embeddings[0, 0, 0] == 3 == one.conditions.embeddings[0, 4, 0]
    hidden = next(feed(caches(tmp_path), picture(0), rules=replace(RULES, hide_padding=True)))
    assert hidden.conditions.text_mask is not None
    assert hidden.conditions.text_mask.tolist() == [[True, True, True, False, False]]


def test_zero_padding_clears_what_the_encoder_left_there(tmp_path: Path) -> None:
    one = next(feed(caches(tmp_path, zero_padding=True), picture(0)))
    assert one.conditions.embeddings[0, :, 0].tolist() == [3, 3, 3, 0, 0]


def test_dropped_captions_have_the_share_that_was_asked_for(tmp_path: Path) -> None:
    batches = feed(caches(tmp_path), *map(picture, range(20)), rules=replace(RULES, caption_dropout=0.3))
    dropped = torch.cat([next(batches).conditions.embeddings[:, 0, 0] == 1 for _ in range(60)])
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.04)


def test_a_soft_mask_weighs_by_red_and_asks_for_bright_tokens(tmp_path: Path) -> None:
    into, one = caches(tmp_path), picture(0, companion("mask"))
    put_mask(into, one, planes(red=0.25, grey=0.75))
    made = next(feed(into, one, rules=replace(RULES, mask_probability=0.0)))
    assert made.mask is not None and made.keep is not None, "the probability is not for soft masks"
    assert torch.equal(made.mask[0, 0], planes(0.25, 0)[0])
    assert made.keep.shape == (1, 12) and made.keep.view(3, 4).tolist() == [[True, True, False, False]] * 3


def test_a_segmentation_counts_every_speck(tmp_path: Path) -> None:
    into, one = caches(tmp_path), picture(0, companion("segmentation"))
    put_mask(into, one, planes(red=0.0, grey=3e-5))
    made = next(feed(into, one))
    assert made.mask is not None and made.keep is not None
    assert torch.equal(made.mask[0, 0], planes(1.0, 0)[0])
    assert not made.keep.any()


def test_segmentations_are_used_as_often_as_asked_for(tmp_path: Path) -> None:
    into, one = caches(tmp_path), picture(0, companion("segmentation"))
    put_mask(into, one, planes(1.0, 1.0))
    batches = feed(into, one, rules=replace(RULES, mask_probability=0.25))
    made = [next(batches) for _ in range(400)]
    assert sum(each.mask is not None for each in made) / 400 == pytest.approx(0.25, abs=0.06)
    assert all(each.keep is not None for each in made)


def test_a_picture_without_a_mask_counts_whole(tmp_path: Path) -> None:
    into, masked = caches(tmp_path), picture(1, companion("mask"))
    put_mask(into, masked, planes(0.5, 1.0))
    made = next(feed(into, picture(0), masked))
    assert made.mask is not None and made.keep is not None
    whole, half = (order(made).index(number) for number in (0, 1))
    assert made.mask[whole].mean() == 1 and made.mask[half].mean() == 0.25
    assert not made.keep[whole].any() and made.keep[half].any()


def test_one_reference_at_a_time_or_all(tmp_path: Path) -> None:
    two = (companion("reference", "a"), companion("reference", "bb"))
    pictures = picture(0, references=two), picture(1, references=two)
    batches = feed(caches(tmp_path), *pictures)
    drawn = [next(batches).conditions.references for _ in range(40)]
    assert all(len(one) == 1 and one[0].shape == (2, 4, 4, 4) for one in drawn)
    assert {one[0].mean().item() for one in drawn} == {1.0, 2.0}
    every = next(feed(caches(tmp_path), *pictures, rules=replace(RULES, all_references=True))).conditions
    assert [one.mean().item() for one in every.references] == [1.0, 2.0]
    assert every.reference_mask is None


def test_a_dropped_caption_drops_its_reference(tmp_path: Path) -> None:
    pictures = [picture(number, references=(companion("reference"),)) for number in range(3)]
    batches = feed(caches(tmp_path), *pictures, rules=replace(RULES, caption_dropout=0.5))
    for one in (next(batches).conditions for _ in range(30)):
        worded = one.embeddings[:, 0, 0] > 1
        if worded.all():
            assert len(one.references) == 1 and one.reference_mask is None
        elif not worded.any():
            assert one.references == () and one.reference_mask is None
        else:
            assert len(one.references) == 1 and torch.equal(one.reference_mask, worded)


def test_a_batch_knows_its_dataset_and_what_went_before(tmp_path: Path) -> None:
    batches = feed(caches(tmp_path), *map(picture, range(3)), is_regularisation=True, timestep_offset=0.7)
    made = [next(batches) for _ in range(3)]
    assert all(one.is_regularisation and one.timestep_offset == 0.7 for one in made)
    assert [one.first_item for one in made] == [0, 3, 6]


def test_a_picture_is_missing_until_its_mask_and_references_are_there(tmp_path: Path) -> None:
    into = caches(tmp_path)
    one = picture(0, companion("mask"), (companion("reference"),))
    next(feed(into, picture(0)))
    assert into.missing_pictures([picture(0), one]) == [one]
    put_mask(into, one, planes(1, 1))
    into.latents.put(into.names.reference_key(one, one.references[0]), {"mean": torch.ones(1)})
    assert into.missing_pictures([one]) == []


def test_the_planes_of_a_mask_are_means_over_the_cells(tmp_path: Path) -> None:
    """Red in one cell of 8 x 8, half of another grey, and one pixel of the weakest blue in a third."""
    image = Image.new("RGB", SIZE)
    image.paste((255, 0, 0), (0, 0, 8, 8))
    image.paste((102, 102, 102), (8, 0, 12, 8))
    image.putpixel((16, 0), (0, 0, 1))
    path = tmp_path / "mask.png"
    image.save(path)
    mask = Companion(path, content_key(path.read_bytes()), "mask", "masks", SIZE)
    made = encode._mask(open_mask(picture(0, mask))).float()
    assert made.shape == (2, *GRID)
    assert made[0, 0, :3].tolist() == pytest.approx([1.0, 0.2, 0.0], abs=1e-3)
    assert made[1, 0, :2].tolist() == pytest.approx([1 / 3, 0.2], abs=1e-3)
    assert 0 < made[1, 0, 2] < 1e-4 and made[:, 1:].sum() == 0
