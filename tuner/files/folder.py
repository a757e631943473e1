"""The five files of one folder as RunSettings, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tuner.files.config_json as config_json
import tuner.files.databackend_json as databackend_json
import tuner.files.env_file as env_file
import tuner.files.lycoris_json as lycoris_json
import tuner.files.prompt_library_json as prompt_library_json
from tuner.errors import Advice, ConfigFileBroken, SettingsInvalid
from tuner.files.codec import bare
from tuner.files.documents import parse_json, read_text, write_text
from tuner.files.five import read, texts_of
from tuner.files.places import placed
from tuner.settings.checks import problems
from tuner.settings.run import RunSettings

KEYS = {
    databackend_json.NAME: "data_backend_config",
    prompt_library_json.NAME: "user_prompt_library",
    lycoris_json.NAME: "lycoris_config",
}
NOT_READ = ("config.toml",)
"""Another form in which SimpleTuner takes the same settings, where there is no config.json."""


@dataclass(frozen=True)
class Loaded:
    """`notes` say in sentences what was filled in and what has no use here."""

    settings: RunSettings
    notes: tuple[str, ...] = ()


def config_folder(path: Path) -> Path:
    """The folder with the five files: `path` itself or its `config`; raises ConfigFileBroken."""
    if not path.is_dir():
        raise ConfigFileBroken(
            f"There is no folder '{path}'.", Advice("Give a folder that holds config.json.")
        )
    for folder in (path, path / "config"):
        if (folder / config_json.NAME).is_file():
            return folder
    for other in (path / name for name in (*NOT_READ, *(f"config/{name}" for name in NOT_READ))):
        if other.is_file():
            raise ConfigFileBroken(
                f"'{other}' is not read; FluxTuner reads settings from config.json.",
                Advice("Write its values into a config.json beside it, the same keys in braces."),
            )
    raise ConfigFileBroken(
        f"There is no config.json in '{path}', nor in its folder 'config'.",
        Advice("A run needs config.json and multidatabackend.json; a preset writes both."),
    )


def load_all(folder: Path) -> Loaded:
    """Reads the files; raises ConfigFileBroken, or SettingsInvalid with all problems by file and line."""
    folder = config_folder(folder)
    first = folder / config_json.NAME
    text = read_text(first)
    paths = {config_json.NAME: first, **_others(folder, parse_json(text, dict, first))}
    texts = {config_json.NAME: text}
    texts |= {name: read_text(path) for name, path in paths.items() if name not in texts and path.is_file()}
    if databackend_json.NAME not in texts:
        raise ConfigFileBroken(
            f"'{paths[databackend_json.NAME]}' is missing; it lists the folders with your pictures.",
            Advice("Put it there, or have it written by a preset."),
        )
    return _checked(texts, paths, _not_read_notes(folder))


def overlaid(settings: RunSettings, texts: Mapping[str, str]) -> Loaded:
    """Settings of which some files, by their names, say something else; raises as `load_all` does."""
    config = texts.get(config_json.NAME) or texts_of(settings)[config_json.NAME]
    told = config_json.read(parse_json(config, dict, config_json.NAME), {})[0].values
    values = config_json.flat(config_json.build(told))
    known = (config_json.NAME, env_file.NAME, *KEYS)
    usual = {name: name for name in known} | {_name(name, values): name for name in KEYS}
    if strange := [name for name in texts if name not in usual]:
        raise ConfigFileBroken(
            f"'{strange[0]}' is none of the files of a recipe.", Advice(f"They are {', '.join(known)}.")
        )
    whole = texts_of(settings) | {usual[name]: text for name, text in texts.items()}
    return _checked(whole, {name: Path(_name(name, values)) for name in whole}, [])


def _checked(texts: Mapping[str, str], paths: Mapping[str, Path], more_notes: Iterable[str]) -> Loaded:
    """Raises SettingsInvalid with all problems, by file and line."""
    five = read(texts, paths)
    unread = {problem.path for problem in five.problems}
    wrong = [*five.problems, *(problem for problem in problems(five.settings) if problem.path not in unread)]
    notes = (*five.notes, *_library_note(five.settings, texts), *more_notes)
    if wrong:
        raise SettingsInvalid(*(placed(problem, texts, paths) for problem in wrong), notes=notes)
    return Loaded(five.settings, notes)


def save_all(settings: RunSettings, folder: Path) -> None:
    """Writes the files, each whole; what was not changed stays as it was written. Raises SettingsInvalid."""
    wrong = problems(settings)
    if wrong:
        raise SettingsInvalid(*wrong)
    for name, text in texts_of(settings).items():
        write_text(folder / _name(name, config_json.flat(settings)), text)


def _others(folder: Path, document: Mapping[str, Any]) -> dict[str, Path]:
    """Where the other files lie: beside config.json, else where it says, seen from the working folder."""
    told = config_json.read(document, {})[0].values
    values = config_json.flat(config_json.build(told))
    found = {env_file.NAME: folder / env_file.NAME}
    for name, key in KEYS.items():
        found[name] = _beside_or(folder / _name(name, values), Path(values[key] or name), key in told)
    # SimpleTuner takes a LyCORIS from config/lycoris_config.json without being told where it is.
    if told.get("lora_type") == "lycoris":
        own = lycoris_json.NAME
        found[own] = _beside_or(found[own], Path(values[KEYS[own]]), True)
    library = values["user_prompt_library"]
    if library and not found[prompt_library_json.NAME].is_file():
        raise _missing(folder, library, "user_prompt_library")
    for key, name in config_json.named_files(document).items():
        found[name] = _beside_or(folder / name, Path(document[key]), True)
        if not found[name].is_file():
            raise _missing(folder, document[key], bare(key))
    return found


def _beside_or(beside: Path, elsewhere: Path, told: bool) -> Path:
    return elsewhere if told and elsewhere.is_file() and not beside.is_file() else beside


def _missing(folder: Path, value: str, key: str) -> ConfigFileBroken:
    return ConfigFileBroken(
        f"'{folder / config_json.NAME}' names '{value}' as '{key}'; it is not there.",
        Advice("Put it there, or take the key out."),
    )


def _library_note(settings: RunSettings, texts: Mapping[str, str]) -> list[str]:
    name = prompt_library_json.NAME
    if settings.sampling.user_prompt_library or name not in texts:
        return []
    return [f"{config_json.NAME}: 'user_prompt_library' is not given; the {name} beside it is used."]


def _not_read_notes(folder: Path) -> list[str]:
    return [f"{name} is not read; config.json counts." for name in NOT_READ if (folder / name).is_file()]


def _name(name: str, values: Mapping[str, Any]) -> str:
    """The file's own name where config.json gives it one."""
    return Path(values[KEYS[name]] or name).name if name in KEYS else name
