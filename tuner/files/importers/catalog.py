"""The programs whose configurations are read, one row each; SimpleTuner's own files are ours."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import tuner.files.config_json as config_json
import tuner.files.databackend_json as databackend_json
import tuner.files.importers.ai_toolkit as ai_toolkit
import tuner.files.importers.fluxgym as fluxgym
import tuner.files.importers.kohya as kohya
import tuner.files.importers.onetrainer as onetrainer
import tuner.files.lycoris_json as lycoris_json
import tuner.files.prompt_library_json as prompt_library_json
from tuner.errors import Advice, ConfigFileBroken, Problem, SettingsInvalid
from tuner.files.documents import parse_json, read_text, to_json
from tuner.files.five import Five
from tuner.files.five import read as read_five
from tuner.files.folder import load_all
from tuner.files.importers.recipe import Recipe
from tuner.settings.checks import problems
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Importer:
    """`recognises(file, its document)`; the document is a table, or the text of a script."""

    name: str
    recognises: Callable[[Path, Any], bool]
    read: Callable[[Path, Any], Recipe]


IMPORTERS = (
    Importer("OneTrainer", onetrainer.recognises, onetrainer.read),
    Importer("ai-toolkit", ai_toolkit.recognises, ai_toolkit.read),
    Importer("fluxgym", fluxgym.recognises, fluxgym.read),
    Importer("kohya sd-scripts", kohya.recognises, kohya.read),
)
NAMES = ("SimpleTuner", *(row.name for row in IMPORTERS))
BASE = {"model_type": "lora", "model_family": "flux", "max_train_steps": 2000, "learning_rate": 1e-4}
"""What a configuration says that tells nothing."""


@dataclass(frozen=True)
class Imported:
    """`program` is whose configuration it was, `left` what was not carried over and why, in sentences."""

    settings: RunSettings
    program: str
    name: str
    left: tuple[str, ...]


def imported(path: Path) -> Imported:
    """A file of another program, or a folder of SimpleTuner's; raises ConfigFileBroken, SettingsInvalid."""
    if path.is_dir() or path.name == config_json.NAME and _is_ours(path):
        folder = path if path.is_dir() else path.parent
        loaded = load_all(folder)
        return Imported(loaded.settings, "SimpleTuner", folder.resolve().name, loaded.notes)
    document = _document(path)
    row = next((row for row in IMPORTERS if row.recognises(path, document)), None)
    if row is None:
        raise ConfigFileBroken(
            f"'{path.name}' is no configuration that can be read.",
            Advice(f"Give one of {', '.join(NAMES)}."),
        )
    recipe = row.read(path, document)
    settings = _settings(recipe)
    return Imported(settings, row.name, recipe.name or path.stem, tuple(recipe.left))


def _is_ours(path: Path) -> bool:
    document = _document(path)
    return isinstance(document, dict) and bool({"model_family", "--model_family"} & document.keys())


def _document(path: Path) -> Any:
    if not path.is_file():
        raise ConfigFileBroken(f"There is no file '{path}'.")
    text = read_text(path)
    try:
        reader = READERS.get(path.suffix.lower())
        return reader(text, path) if reader else text
    except (yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise ConfigFileBroken(f"'{path.name}' cannot be read: {error}.") from None


READERS: dict[str, Callable[[str, Path], Any]] = {
    ".json": lambda text, path: parse_json(text, dict, path),
    ".yaml": lambda text, _: yaml.safe_load(text),
    ".yml": lambda text, _: yaml.safe_load(text),
    ".toml": lambda text, _: tomllib.loads(text),
}


def _settings(recipe: Recipe) -> RunSettings:
    """A value that does not work here is left out and listed with the reason, until everything fits."""
    if not recipe.datasets:
        recipe.add_pictures("")
        recipe.left.append("No folder of pictures is named; give one on the Images tab.")
    recipe.config = {**BASE, **recipe.config}
    if recipe.config.get("num_train_epochs"):
        recipe.config["max_train_steps"] = 0
    while True:
        five = _read(recipe)
        wrong = [*five.problems, *problems(five.settings)]
        if not wrong:
            return five.settings
        if not any([_left_out(recipe, one) for one in wrong]):
            raise SettingsInvalid(*wrong)


def _read(recipe: Recipe) -> Five:
    texts = {
        config_json.NAME: to_json(recipe.config),
        databackend_json.NAME: to_json(recipe.datasets),
    }
    if recipe.library:
        texts[prompt_library_json.NAME] = to_json(recipe.library)
    if recipe.lycoris:
        texts[lycoris_json.NAME] = to_json(recipe.lycoris)
    return read_five(texts, {})


def _left_out(recipe: Recipe, problem: Problem) -> bool:
    """Take the value of a problem out of the recipe; False where it is not there."""
    owners = [recipe.config, *recipe.datasets]
    holding = [one for one in owners if problem.key in one and problem.key not in ("id", "instance_data_dir")]
    for one in holding:
        del one[problem.key]
    if holding:
        recipe.left.append(problem.message)
    return bool(holding)
