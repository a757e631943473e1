"""The pictures as the run will see them: captions, counts, what was left out, and small copies."""

from __future__ import annotations

import re
from types import SimpleNamespace
from zipfile import ZipFile

import gradio as gr
import pytest
from PIL import Image

from tests.ui.conftest import PATIENCE_SECONDS
from tuner.dataset import chosen
from tuner.ui import base_model, editor, images_tab, wording
from tuner.ui import pictures as room
from tuner.ui.looking import StillLooking


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "bilder"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (900, 600), (40 * number, 90, 120)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"sks <{number}>", encoding="utf-8")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def shown(values) -> SimpleNamespace:
    """The values of `ImagesTab.shown`, and of `Editor.one` where they follow, by name."""
    names = "stamp folder trigger summary ready start gallery findings undo picked about caption leave"
    return SimpleNamespace(**dict(zip(names.split(), values, strict=False)))


def captions(page: SimpleNamespace) -> list[str]:
    return re.findall(r'<span class="caption">(.*?)</span>', page.gallery, re.DOTALL)


def test_the_practice_pictures(desk) -> None:
    page = shown(images_tab.show(desk))
    assert (page.folder["value"], page.trigger["value"], page.findings) == (
        "tuner/practice/pictures",
        "sks",
        "",
    )
    assert "10 images, 10 captioned, 1 bucket, 0 left out." in page.summary
    assert len(captions(page)) == 10 and captions(page)[0].startswith("a sks on a")
    assert "= 6 steps" in page.ready and page.start["interactive"]


def test_another_folder_with_a_broken_file(desk, pictures) -> None:
    page = shown(images_tab.use_folder(desk, f" {pictures} "))
    assert page.folder["value"] == str(pictures)
    assert "5 images, 5 captioned" in page.summary and "1 left out" in page.summary
    assert "broken.png" in page.findings
    assert captions(page)[0] == "sks &lt;0&gt;"
    assert desk.draft.name == "bilder"
    assert images_tab.use_folder(desk, str(pictures)) == gr.skip()


def test_a_folder_that_is_not_there_is_said(desk, tmp_path) -> None:
    page = shown(images_tab.use_folder(desk, str(tmp_path / "nowhere")))
    assert "nowhere" in page.summary and 'role="alert"' in page.summary
    assert (page.gallery, page.ready, page.start["interactive"]) == ("", "", False)


def test_a_recipe_for_pictures_that_are_to_come_asks_for_them(desk) -> None:
    base_model.take(desk, "black-forest-labs/FLUX.1-dev", "dev")
    page = shown(images_tab.show(desk))
    assert wording.NO_PICTURES in page.summary and "alert" not in page.summary
    assert not page.start["interactive"]


def test_odd_pictures_are_named(desk, pictures) -> None:
    (pictures / "0.txt").write_bytes(b"sch\xf6n")
    page = shown(images_tab.use_folder(desk, str(pictures)))
    assert "Worth a look" in page.findings and "read as cp1252" in page.findings


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
        caption.write_text("")
    page = shown(images_tab.use_folder(desk, str(pictures)))
    assert 'role="alert"' in page.summary and "can be used" in page.summary
    assert page.gallery.count('<span class="state bad">no caption</span>') == 5 and captions(page) == [""] * 5
    assert page.findings.count('data-act="write caption:/') == 5
    assert "Use its name as caption: all 5" in page.findings
    assert "5 images" in shown(images_tab.mend(desk, "write caption:")).summary
    assert shown(images_tab.undo(desk, "")).undo["interactive"] is False
    assert (pictures / "0.txt").read_text() == ""


def test_pictures_without_caption_files_are_called_by_the_trigger_word(desk, pictures) -> None:
    """Until one is typed: then each gets a file of its own, which can be taken back."""
    for caption in pictures.glob("*.txt"):
        caption.unlink()
    page = shown(images_tab.use_folder(desk, str(pictures)))
    assert "5 images, 5 captioned" in page.summary and captions(page) == ["sks"] * 5
    path = str(pictures / "2.png")
    _, about, caption, _ = editor.show(desk, path)
    assert wording.CAPTION_SOURCES["instanceprompt"] in about and caption["interactive"]
    assert images_tab.save(desk, path, "sks") == gr.skip()
    images_tab.save(desk, path, "sks in the rain")
    assert [one.read_text() for one in sorted(pictures.glob("*.txt"))] == [
        "sks\n", "sks\n", "sks in the rain\n", "sks\n", "sks\n"
    ]  # fmt: skip
    assert captions(shown(images_tab.show(desk)))[2] == "sks in the rain"
    assert captions(shown(images_tab.undo(desk, path))) == ["sks"] * 5
    assert not list(pictures.glob("*.txt"))


def test_a_fix_of_the_doctor_and_its_undo(desk, pictures) -> None:
    (pictures / "3.txt").write_text("no word", encoding="utf-8")
    desk.draft.use_trigger("sks")
    images_tab.use_folder(desk, str(pictures))
    assert "does not hold the trigger word" in shown(images_tab.show(desk)).findings
    path = str(pictures / "3.png")
    page = shown(images_tab.mend(desk, f"add trigger:{path}"))
    assert "does not hold the trigger word" not in page.findings
    assert page.undo == gr.update(value="Undo: Add the trigger word: 3.png", interactive=True)
    assert (pictures / "3.txt").read_text() == "sks no word\n"
    changed = shown(images_tab.undo(desk, path))
    assert (pictures / "3.txt").read_text() == "no word"
    assert (changed.undo["value"], changed.picked, changed.caption["value"]) == ("Undo", path, "no word")


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
    page = shown(images_tab.add_trigger(desk, path))
    assert captions(page)[0] == "zorg sks &lt;0&gt;" and page.caption["value"] == "zorg sks <1>"
    assert shown(images_tab.replace(desk, path, "sks", "cat")).caption["value"] == "zorg cat <1>"
    images_tab.undo(desk, "")
    images_tab.undo(desk, "")
    assert (pictures / "1.txt").read_text() == "sks <1>"


def test_a_dropped_zip_becomes_the_folder(desk, pictures, tmp_path) -> None:
    archive = tmp_path / "more.zip"
    with ZipFile(archive, "w") as opened:
        for path in [*pictures.glob("[0-3].*"), pictures / "broken.png"]:
            opened.write(path, f"deep/{path.name}")
        opened.writestr("../evil.png", b"x")
    drop, arrived, *rest = images_tab.take_in(desk, [str(archive)])
    page = shown(rest)
    assert drop is None and len(captions(page)) == 4 and "4 images" in page.summary
    assert "5 pictures and 4 captions taken in, 1 left out. ../evil.png: Its name points out" in arrived
    assert page.folder["value"] == str(desk.inbox / "more") and desk.draft.name == "more"
    one_more = images_tab.take_in(desk, [str(pictures / "4.png"), str(pictures / "4.txt")])
    assert shown(one_more[2:]).folder == page.folder and len(captions(shown(one_more[2:]))) == 5
    desk.draft.use_folder(str(pictures))
    assert shown(images_tab.take_in(desk, [str(archive)])[2:]).folder["value"] == str(desk.inbox / "more-2")
    assert "0 pictures and 0 captions" in images_tab.take_in(desk, [])[1]


def test_a_tab_that_is_ready_to_edit_gets_what_it_edits(desk, pictures) -> None:
    images_tab.use_folder(desk, str(pictures))
    assert images_tab.after(desk, "gone")[-4:] == editor.empty()


def test_start_takes_what_was_typed_a_moment_ago(desk, pictures) -> None:
    path = str(pictures / "1.png")
    images_tab.use_folder(desk, str(pictures))
    there, *_ = images_tab.start(desk, str(pictures), " zorg ", path, "zorg one")
    assert there.selected == "train" and desk.session.plan.settings.trigger == "zorg"
    assert (pictures / "1.txt").read_text() == "zorg one\n" and desk.view.run == "bilder"
    desk.session.join(PATIENCE_SECONDS)


def test_another_lora_begins_with_no_pictures_and_a_name_of_its_own(desk, pictures, tmp_path) -> None:
    images_tab.use_folder(desk, str(pictures))
    desk.draft.use_trigger("zorg")
    there, *rest = images_tab.begin_next(desk)
    page = shown(rest)
    assert there.selected == "images" and wording.NO_PICTURES in page.summary
    assert (page.trigger["value"], page.picked, desk.draft.name) == ("sks", "", "practice")
    dropped = [str(pictures / "1.png"), str(pictures / "2.png")]
    assert captions(shown(images_tab.take_in(desk, dropped)[2:])) == ["sks", "sks"]
    assert desk.draft.pictures_folder == str(desk.inbox / "practice")


def test_while_many_pictures_are_looked_at_the_page_says_so(desk, monkeypatch) -> None:
    def still():
        raise StillLooking("The pictures are being looked at: 3 of 10.")

    monkeypatch.setattr(desk.draft, "scanned", still)
    page = shown(images_tab.show(desk))
    assert wording.LOOKING in page.summary and "alert" not in page.summary
    monkeypatch.setattr(type(desk.draft.looking), "progress", (3, 10))
    assert "3 of 10 pictures looked at." in images_tab.progress(desk)[0]
