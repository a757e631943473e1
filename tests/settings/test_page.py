"""docs/settings.md is what the declarations say, and every setting has its line there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.adapters import lycoris_catalog
from tuner.adapters.lycoris_config import TOP
from tuner.settings import page
from tuner.settings.fields import Spec
from tuner.settings.run import SECTIONS, dataset_specs, specs

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_in_the_docs_is_current() -> None:
    written = DOCS.read_text(encoding="utf-8")
    assert written == page.page() + "\n", "write it again: python -m tuner settings > docs/settings.md"


@pytest.mark.parametrize("spec", [*specs(), *dataset_specs()], ids=lambda spec: spec.path)
def test_a_setting_has_its_line(spec: Spec) -> None:
    lines = [line for line in page.page().split("\n") if line.startswith(f"| `{spec.name}`")]
    own = [line for line in lines if spec.help in line and page.effect(spec) in line]
    assert own and all(line.count("|") == 6 for line in own), "a bar inside a cell would break the table"


def test_every_section_has_its_heading() -> None:
    assert set(page.SECTIONS) == set(SECTIONS)


@pytest.mark.parametrize("spec", [*specs(), *dataset_specs()], ids=lambda spec: spec.path)
def test_it_works_or_says_why_not(spec: Spec) -> None:
    if spec.built is not None:
        others = [one for one in spec.choices if one not in spec.built] if spec.choices else [None]
        assert [one for one in others if not spec.why_not(one)] == [], "no reason against these"
    assert "yet" not in f"{spec.help} {spec.why} {spec.moot}".split()


def test_every_key_and_algorithm_of_lycoris_is_explained() -> None:
    assert set(page.LYCORIS_KEYS) == {*TOP, "multiplier", "use_scalar", "apply_preset"} - {"constrain"}
    written = page.page()
    assert all(f"`{word}`" in written for word in lycoris_catalog.words())
