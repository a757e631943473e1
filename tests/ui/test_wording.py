"""Numbers said in words."""

from __future__ import annotations

import pytest

from tuner.ui import wording
from tuner.view import RunView, Sample


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (45.4, "45 s"), (99, "99 s"), (130, "2 min"), (3600, "1 h 00 min"), (6600, "1 h 50 min")],
)
def test_durations(seconds, said) -> None:
    assert wording.duration(seconds) == said


def test_counts() -> None:
    assert wording.count(1, "image") == "1 image"
    assert wording.count(1500, "step") == "1,500 steps"


@pytest.mark.parametrize("state", wording.STATES)
def test_every_state_has_its_headline(state) -> None:
    assert wording.headline(RunView(run="cat", state=state, step=3, num_steps=9)).endswith(".")


def test_samples_of_one_prompt_are_told_apart() -> None:
    samples = [
        Sample(step, name, prompt, 1, "")
        for step in (0, 9)
        for name, prompt in (
            ("unconditional", ""),
            ("cat", "a cat"),
            ("dog", "a dog"),
            ("dog (EMA)", "a dog"),
        )
    ]
    assert wording.titles(samples) == {
        "unconditional": "unconditional",
        "cat": "a cat",
        "dog": "dog: a dog",
        "dog (EMA)": "dog (EMA): a dog",
    }
