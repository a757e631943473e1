"""The pictures as the run will see them: captions, counts, what was left out, and small copies."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import pytest
from PIL import Image

from tuner.ui import images_tab


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "bilder"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (900, 600), (40 * number, 90, 120)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"sks <{number}>", encoding="utf-8")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def test_the_practice_pictures(desk) -> None:
    _, folder, trigger, summary, gallery, left_out = images_tab.show(desk)
    assert (folder["value"], trigger["value"], left_out) == ("tuner/practice/pictures", "sks", "")
    assert "10 images, 10 captioned, 1 bucket, 0 left out." in summary
    assert len(gallery) == 10
    assert gallery[0][1].startswith("a sks on a")


def test_another_folder_with_a_broken_file(desk, pictures) -> None:
    _, folder, _, summary, gallery, left_out = images_tab.use_folder(desk, f" {pictures} ")
    assert folder["value"] == str(pictures)
    assert "5 images, 5 captioned" in summary and "1 left out" in summary
    assert "broken.png" in left_out
    assert gallery[0][1] == "sks <0>"
    assert images_tab.use_folder(desk, str(pictures)) == gr.skip()


def test_a_folder_that_is_not_there_is_said(desk, tmp_path) -> None:
    summary, gallery = images_tab.use_folder(desk, str(tmp_path / "nowhere"))[3:5]
    assert "nowhere" in summary and 'role="alert"' in summary
    assert gallery == []


def test_a_small_copy_is_served_and_made_once(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    picture = desk.index().pictures[0]
    small = images_tab.thumbnail(picture, desk.thumbnails)
    made = small.stat().st_mtime_ns
    with Image.open(small) as opened:
        assert max(opened.size) == images_tab.THUMBNAIL_PX
    assert images_tab.thumbnail(picture, desk.thumbnails).stat().st_mtime_ns == made
    assert not list(desk.thumbnails.glob("*.part"))


def test_what_is_cut_off_is_darker(desk, pictures) -> None:
    """The middle square of a 900 x 600 picture, with a line around it."""
    images_tab.use_folder(desk, str(pictures))
    whole = desk.index().pictures[0]
    place = {"resize_size": (96, 64), "target_size": (64, 64)}
    for picture in (whole, replace(whole, **place, crop_top_left=None)):
        with Image.open(images_tab.thumbnail(picture, desk.thumbnails)) as opened:
            assert opened.convert("L").getpixel((5, 100)) == opened.convert("L").getpixel((256, 100))
    cut = replace(whole, **place, crop_top_left=(0, 16))
    with Image.open(images_tab.thumbnail(cut, desk.thumbnails)) as opened:
        grey = opened.convert("L")
        assert grey.getpixel((5, 100)) < grey.getpixel((256, 100)) < grey.getpixel((85, 100))


def test_odd_pictures_are_named(desk, pictures) -> None:
    (pictures / "0.txt").write_bytes(b"sch\xf6n")
    left_out = images_tab.use_folder(desk, str(pictures))[5]
    assert "Worth a look" in left_out and "read as cp1252" in left_out


def test_the_trigger_word_is_kept(desk) -> None:
    assert images_tab.use_trigger(desk, "zorg")[2]["value"] == "zorg"
    assert desk.settings.trigger == "zorg"


def test_looking_again_sees_new_files(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    Image.new("RGB", (900, 600)).save(pictures / "new.png")
    (pictures / "new.txt").write_text("sks new", encoding="utf-8")
    assert "5 images" in images_tab.show(desk)[3]
    assert "6 images" in images_tab.look_again(desk)[3]


def test_a_tab_that_is_up_to_date_is_left_alone(desk) -> None:
    seen = images_tab.show(desk)[0]
    assert images_tab.refresh(desk, seen) == gr.skip()
    desk.use_trigger("other")
    assert images_tab.refresh(desk, seen)[2]["value"] == "other"
