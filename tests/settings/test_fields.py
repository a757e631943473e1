"""Every declaration is whole: words for the user, a default that is allowed, no key twice."""

from __future__ import annotations

from collections import Counter

import pytest

from tuner.settings.fields import Spec
from tuner.settings.run import SECTIONS, dataset_specs, specs
from tuner.settings.values import PARSERS, check

ALL = [*specs(), *dataset_specs()]


def name(spec: Spec) -> str:
    return spec.path


@pytest.mark.parametrize("spec", ALL, ids=name)
def test_a_setting_speaks_to_people(spec: Spec) -> None:
    assert 0 < len(spec.label) <= 40
    assert spec.help.endswith(".") and 10 <= len(spec.help) <= 200
    assert spec.level in ("basic", "advanced", "expert")


@pytest.mark.parametrize("spec", ALL, ids=name)
def test_its_default_is_allowed_and_built(spec: Spec) -> None:
    assert spec.kind in PARSERS
    assert check(spec, spec.default) is None
    if spec.choices and spec.default is not None:
        assert spec.default in spec.choices
    if spec.built is not None:
        assert spec.default in spec.built
        assert not spec.choices or set(spec.built) - {None} <= set(spec.choices)


@pytest.mark.parametrize("specs_", [specs(), dataset_specs()], ids=["config.json", "multidatabackend.json"])
def test_no_key_means_two_things(specs_: tuple[Spec, ...]) -> None:
    counts = Counter(key for spec in specs_ for key in spec.keys)
    assert [key for key, count in counts.items() if count > 1] == []


def test_specs_cover_every_section() -> None:
    assert {spec.section for spec in specs()} == set(SECTIONS)
    assert len(specs()) > 150
