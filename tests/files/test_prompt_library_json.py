from __future__ import annotations

from tuner.files.prompt_library_json import read, write
from tuner.settings.sampling import SamplePrompt


def test_texts_and_objects() -> None:
    prompts, problems = read({"a": "one", "b": {"prompt": "two"}, "c": {"caption": "three"}})
    assert prompts == [SamplePrompt("a", "one"), SamplePrompt("b", "two"), SamplePrompt("c", "three")]
    assert problems == []


def test_another_shape_is_named() -> None:
    prompts, problems = read({"a": "one", "b": 7})
    assert prompts == [SamplePrompt("a", "one")]
    assert [p.message for p in problems] == [
        "The prompt 'b' must be a text, or an object with a text under \"prompt\"."
    ]


def test_entries_with_the_same_prompt_stay_as_written() -> None:
    document = {"a": {"prompt": "one", "strength": 2}, "b": "two"}
    assert write(document, [SamplePrompt("c", "new"), SamplePrompt("a", "one")]) == {
        "c": "new",
        "a": document["a"],
    }
