import random

import pytest
from PIL import Image

from tuner.practice import exam
from tuner.practice.drawing import COLOURS, ICONS, Scene, draw, random_scene
from tuner.practice.pictures import practice_scene


def _answers(draw_one: object) -> list[Image.Image]:
    """A picture for every question; the controls get an empty one."""
    grounds = [ground for ground in exam.BACKGROUNDS for _ in exam.SEEDS]
    empty = Image.new("RGB", (64, 64))
    return [*(draw_one(ground) for ground in grounds), *(empty for _ in exam.CONTROLS)]


def test_there_are_24_questions_and_the_controls() -> None:
    asked = exam.questions()
    assert len(asked) == 24 + len(exam.CONTROLS)
    assert len({(one.prompt, one.seed) for one in asked}) == len(asked)
    assert sum("sks" in one.prompt for one in asked) == 24


def test_drawn_subjects_pass_and_everything_else_fails() -> None:
    rng = random.Random(1)
    good = _answers(lambda ground: draw(practice_scene(ground, rng)))
    empty = _answers(lambda ground: Image.new("RGB", (64, 64), COLOURS[ground]))
    others = _answers(lambda ground: draw(Scene(rng.choice(tuple(ICONS)), "purple", ground)))
    noise = _answers(lambda ground: Image.frombytes("RGB", (64, 64), rng.randbytes(64 * 64 * 3)))
    assert exam.grade(base=others, tuned=good).passed
    assert exam.grade(base=others, tuned=good).score > 0.8
    for answers in (empty, others, noise):
        assert not exam.grade(base=others, tuned=answers).passed


@pytest.mark.parametrize("ground", exam.BACKGROUNDS)
def test_likeness_is_nought_for_an_empty_background(ground: str) -> None:
    assert exam.likeness(Image.new("RGB", (64, 64), COLOURS[ground]), ground) == pytest.approx(0, abs=0.02)


def test_the_sheet_has_two_rows_and_a_column_for_each_prompt() -> None:
    answers = _answers(lambda ground: draw(Scene("star", "purple", ground)))
    sheet = exam.sheet(answers, answers)
    assert sheet.width > 1000 and sheet.height < 400


def test_training_pictures_never_show_the_subject() -> None:
    rng = random.Random(0)
    assert {random_scene(rng).icon for _ in range(500)} == set(ICONS)
