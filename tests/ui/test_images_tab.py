"""The pictures as the run will see them: captions, counts, what was left out, and small copies."""

from __future__ import annotations

from zipfile import ZipFile

import gradio as gr
import pytest
from PIL import Image

from tuner.dataset import chosen
from tuner.ui import editor, images_tab
from tuner.ui import pictures as room


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
    _, folder, trigger, summary, gallery, found, _ = images_tab.show(desk)
    assert (folder["value"], trigger["value"], found) == ("tuner/practice/pictures", "sks", "")
    assert "10 images, 10 captioned, 1 bucket, 0 left out." in summary
    assert len(gallery) == 10
    assert gallery[0][1].startswith("a sks on a")


def test_another_folder_with_a_broken_file(desk, pictures) -> None:
    _, folder, _, summary, gallery, left_out, _ = images_tab.use_folder(desk, f" {pictures} ")
    assert folder["value"] == str(pictures)
    assert "5 images, 5 captioned" in summary and "1 left out" in summary
    assert "broken.png" in left_out
    assert gallery[0][1] == "sks <0>"
    assert images_tab.use_folder(desk, str(pictures)) == gr.skip()


def test_a_folder_that_is_not_there_is_said(desk, tmp_path) -> None:
    summary, gallery = images_tab.use_folder(desk, str(tmp_path / "nowhere"))[3:5]
    assert "nowhere" in summary and 'role="alert"' in summary
    assert gallery == []


def test_odd_pictures_are_named(desk, pictures) -> None:
    (pictures / "0.txt").write_bytes(b"sch\xf6n")
    left_out = images_tab.use_folder(desk, str(pictures))[5]
    assert "Worth a look" in left_out and "read as cp1252" in left_out


def test_nothing_is_looked_at_twice(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    scanned, findings = desk.draft.scanned(), desk.draft.findings()
    desk.draft.change({"optimization.learning_rate": 1e-3, "sampling.validation_seed": 1})
    images_tab.show(desk)
    assert desk.draft.scanned() is scanned and desk.draft.findings() is findings
    desk.draft.look_again()
    assert desk.draft.scanned() is not scanned and desk.draft.findings() == findings


def test_the_trigger_word_is_kept(desk) -> None:
    assert images_tab.use_trigger(desk, "zorg")[2]["value"] == "zorg"
    assert desk.draft.settings.trigger == "zorg"


def test_looking_again_sees_new_files(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    Image.new("RGB", (900, 600)).save(pictures / "new.png")
    (pictures / "new.txt").write_text("sks new", encoding="utf-8")
    assert "5 images" in images_tab.show(desk)[3]
    assert "6 images" in images_tab.look_again(desk)[3]


def test_a_tab_that_is_up_to_date_is_left_alone(desk) -> None:
    seen = images_tab.show(desk)[0]
    assert images_tab.refresh(desk, seen) == gr.skip()
    desk.draft.use_trigger("other")
    assert images_tab.refresh(desk, seen)[2]["value"] == "other"


def test_pictures_without_captions_are_shown_though_no_run_could_use_them(desk, pictures) -> None:
    for caption in pictures.glob("*.txt"):
        caption.unlink()
    summary, gallery, found = images_tab.use_folder(desk, str(pictures))[3:6]
    assert 'role="alert"' in summary and "can be used" in summary
    assert [title for _, title in gallery] == ["[no caption] "] * 5
    assert found.count('data-act="write caption:/') == 5 and "Use its name as caption: all 5" in found
    assert "5 images" in images_tab.mend(desk, "write caption:")[3]
    assert images_tab.undo(desk, "")[6]["interactive"] is False and not list(pictures.glob("*.txt"))


def test_a_fix_of_the_doctor_and_its_undo(desk, pictures) -> None:
    (pictures / "3.txt").write_text("no word", encoding="utf-8")
    desk.draft.use_trigger("sks")
    images_tab.use_folder(desk, str(pictures))
    assert "does not hold the trigger word" in images_tab.show(desk)[5]
    path = str(pictures / "3.png")
    found, undo = images_tab.mend(desk, f"add trigger:{path}")[5:]
    assert "does not hold the trigger word" not in found
    assert undo == gr.update(value="Undo: Add the trigger word: 3.png", interactive=True)
    assert (pictures / "3.txt").read_text() == "sks no word\n"
    changed = images_tab.undo(desk, path)
    assert (pictures / "3.txt").read_text() == "no word"
    assert (changed[6]["value"], changed[7], changed[9]["value"]) == ("Undo", path, "no word")


def test_a_picture_is_left_out_and_taken_back(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    path = str(pictures / "2.png")
    *_, leave = images_tab.leave(desk, path)
    assert leave["value"] == "Take it back" and (pictures / chosen.LIST).is_file()
    assert [one.path.name for one in room.shown(desk)] == ["0.png", "1.png", "3.png", "4.png", "2.png"]
    assert images_tab.leave(desk, path)[-1]["value"] == "Leave out"
    assert len(desk.draft.index().pictures) == 5


def test_all_captions_at_once(desk, pictures) -> None:
    desk.draft.use_trigger("zorg")
    images_tab.use_folder(desk, str(pictures))
    path = str(pictures / "1.png")
    shown = images_tab.add_trigger(desk, path)
    assert shown[4][0][1] == "zorg sks <0>" and shown[9]["value"] == "zorg sks <1>"
    assert images_tab.replace(desk, path, "sks", "cat")[9]["value"] == "zorg cat <1>"
    images_tab.undo(desk, "")
    images_tab.undo(desk, "")
    assert (pictures / "1.txt").read_text() == "sks <1>"


def test_a_dropped_zip_becomes_the_folder(desk, pictures, tmp_path) -> None:
    archive = tmp_path / "more.zip"
    with ZipFile(archive, "w") as opened:
        for path in [*pictures.glob("[0-3].*"), pictures / "broken.png"]:
            opened.write(path, f"deep/{path.name}")
        opened.writestr("../evil.png", b"x")
    drop, arrived, _, folder, _, summary, gallery, *_ = images_tab.take_in(desk, [str(archive)])
    assert drop is None and len(gallery) == 4 and "4 images" in summary
    assert "5 pictures and 4 captions taken in, 1 left out. ../evil.png: Its name points out" in arrived
    assert folder["value"] == str(desk.inbox / "practice")
    one_more = images_tab.take_in(desk, [str(pictures / "4.png"), str(pictures / "4.txt")])
    assert one_more[3]["value"] == folder["value"] and len(one_more[6]) == 5
    desk.draft.use_folder(str(pictures))
    assert images_tab.take_in(desk, [str(archive)])[3]["value"] == str(desk.inbox / "practice-2")
    assert "0 pictures and 0 captions" in images_tab.take_in(desk, [])[1]


def test_a_tab_that_is_ready_to_edit_gets_what_it_edits(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    assert images_tab.after(desk, "gone")[7:] == editor.empty()
