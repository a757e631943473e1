"""Every event survives JSON."""

import json
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import pytest

from tuner import events

EXAMPLES: dict[Any, Any] = {int: 7, float: 0.5, str: "späce", bool: True}


def _example(kind: type[events.Event]) -> events.Event:
    values: dict[str, Any] = {"time": 12.5}
    hints = get_type_hints(kind)
    for one in fields(kind):
        if hints[one.name] in EXAMPLES and one.name != "time":
            values[one.name] = EXAMPLES[hints[one.name]]
        elif one.default is MISSING and one.default_factory is MISSING:
            values[one.name] = ("text", "train")
    return kind(**values)


@pytest.mark.parametrize("kind", events.KINDS.values(), ids=events.KINDS)
def test_there_and_back(kind: type[events.Event]) -> None:
    event = _example(kind)
    record = json.loads(json.dumps(events.to_json(event)))
    assert record["event"] == kind.__name__
    assert events.from_json(record) == event


def test_advice_keeps_its_changes() -> None:
    event = events.RunFailed(message="No.", advice=(("Do this.", {"dataset.resolution": 512}),))
    assert events.from_json(json.loads(json.dumps(events.to_json(event)))) == event


def test_an_unknown_event_is_an_error() -> None:
    with pytest.raises(KeyError):
        events.from_json({"event": "Nonsense"})
