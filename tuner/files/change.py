"""Settings with single values set anew: what forms, presets and advice do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuner.errors import Problem, SettingsInvalid
from tuner.files.config_json import flat
from tuner.settings.checks import problems
from tuner.settings.environment import TWINS
from tuner.settings.fields import Spec
from tuner.settings.run import SECTIONS, RunSettings, dataset_specs, specs
from tuner.settings.values import nearest, parse, wrong_type


def changed(settings: RunSettings, change: Mapping[str, Any]) -> RunSettings:
    """Settings with values at dotted paths: `optimization.learning_rate`, `datasets.<id>.repeats`,
    `environment.KEY`, or a whole field such as `library`.

    Values may be texts as from a form; None unsets. Raises SettingsInvalid with all problems.
    """
    before = settings
    wrong: list[Problem] = []
    for path, value in change.items():
        try:
            settings = _with(settings, path, value)
        except SettingsInvalid as error:
            wrong += error.problems
    wrong += problems(settings)
    if wrong:
        raise SettingsInvalid(*wrong)
    return replace(settings, environment=_with_twins(before, settings))


def _with_twins(before: RunSettings, after: RunSettings) -> dict[str, str]:
    """config.env says some things a second time; where it does, it follows what was changed."""
    old, new = flat(before), flat(after)
    changed_keys = {name: key for name, key in TWINS.items() if old[key] != new[key]}
    told = {name: str(new[key]) for name, key in changed_keys.items() if name in after.environment}
    return {**after.environment, **told}


def _with(settings: RunSettings, path: str, value: Any) -> RunSettings:
    head, _, rest = path.partition(".")
    if head in SECTIONS and rest:
        return _replaced(settings, head, _set(getattr(settings, head), specs(), path, value))
    if head == "datasets" and rest:
        return _with_dataset(settings, path, value)
    if head in ("environment", "lycoris") and rest:
        table = {**getattr(settings, head), rest: value}
        return _replaced(settings, head, {key: one for key, one in table.items() if one is not None})
    if head in ("datasets", "library", "environment", "lycoris"):
        return _replaced(settings, head, tuple(value) if isinstance(value, list) else value)
    raise _unknown(path, value)


def _replaced(settings: RunSettings, name: str, value: Any) -> RunSettings:
    return replace(settings, **{name: value})


def _with_dataset(settings: RunSettings, path: str, value: Any) -> RunSettings:
    name = path.removeprefix("datasets.").rpartition(".")[0]
    if name not in [one.id for one in settings.datasets]:
        raise _unknown(path, value)
    datasets = (
        _set(one, dataset_specs(), path, value) if one.id == name else one for one in settings.datasets
    )
    return replace(settings, datasets=tuple(datasets))


def _set(owner: Any, known: Sequence[Spec], path: str, value: Any) -> Any:
    name = path.rpartition(".")[2]
    spec = next((spec for spec in known if spec.name == name and hasattr(owner, name)), None)
    if spec is None:
        raise _unknown(path, value)
    try:
        return replace(owner, **{name: parse(spec, value)})
    except ValueError as expected:
        raise SettingsInvalid(wrong_type(spec, value, expected, path)) from None


def _unknown(path: str, value: Any) -> SettingsInvalid:
    meant = nearest(path, [spec.path for spec in specs()])
    hint = f" Did you mean '{meant}'?" if meant else ""
    return SettingsInvalid(
        Problem(path, path.rpartition(".")[2], value, f"There is no setting '{path}'.{hint}")
    )
