"""The flavours: every row is whole, and the rows differ where the models do."""

from __future__ import annotations

import pytest

from tuner.flux.catalog import FLAVOURS, Flavour, flavour, names
from tuner.settings.run import SECTIONS, RunSettings


def test_the_flavours_of_the_guide_are_there() -> None:
    assert names() == ("krea", "dev", "schnell", "kontext", "fluxbooru", "libreflux")


@pytest.mark.parametrize("row", FLAVOURS, ids=lambda row: row.name)
def test_what_a_flavour_needs_are_settings_and_values_that_it_accepts(row: Flavour) -> None:
    for need in row.needs:
        section, name = need.path.split(".")
        assert section in SECTIONS
        assert type(getattr(getattr(RunSettings(), section), name)) is type(need.value)
        assert need.accepts(need.value)
        assert need.why and need.why[0].islower() and not need.why.endswith(".")


def test_where_they_differ() -> None:
    assert {row.name for row in FLAVOURS if not row.guidance_embeds} == {"schnell", "libreflux"}
    assert {row.name: row.num_text_tokens for row in FLAVOURS if row.num_text_tokens != 512} == {
        "schnell": 256
    }
    assert [row.name for row in FLAVOURS if row.takes_references] == ["kontext"]
    assert [row.name for row in FLAVOURS if row.assistant] == ["schnell"]
    assert flavour("schnell").assistant == "ostris/FLUX.1-schnell-training-adapter"
