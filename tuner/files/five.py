"""The texts of the five files together as RunSettings, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tuner.files.config_json as config_json
import tuner.files.databackend_json as databackend_json
import tuner.files.env_file as env_file
import tuner.files.lycoris_json as lycoris_json
import tuner.files.prompt_library_json as prompt_library_json
from tuner.errors import Problem
from tuner.files.documents import parse_json, to_json
from tuner.settings.dataset import EVALUATION
from tuner.settings.environment import of_the_system
from tuner.settings.rules import adapter
from tuner.settings.run import TOKEN, RunSettings

KINDS: dict[str, type[Any]] = {
    config_json.NAME: dict,
    databackend_json.NAME: list,
    prompt_library_json.NAME: dict,
    lycoris_json.NAME: dict,
}


@dataclass(frozen=True)
class Five:
    """What the texts mean; `problems` are those of single values, found while reading; `filled` are values
    that config.json left out.
    """

    settings: RunSettings
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    filled: Mapping[str, Any] = field(default_factory=dict)


def documents_of(texts: Mapping[str, str], paths: Mapping[str, Path]) -> dict[str, Any]:
    """The JSON files, parsed; a file that is not there is empty. Raises ConfigFileBroken."""
    return {
        name: parse_json(texts[name], kind, paths.get(name, name)) if name in texts else kind()
        for name, kind in KINDS.items()
    }


def read(texts: Mapping[str, str], paths: Mapping[str, Path]) -> Five:
    """`texts` and `paths` go by the files' usual names; raises ConfigFileBroken."""
    documents = documents_of(texts, paths)
    environment, env_notes = env_file.read(texts.get(env_file.NAME, ""))
    lycoris = documents[lycoris_json.NAME]
    config, notes = config_json.read(documents[config_json.NAME], environment, lycoris, texts)
    backends = databackend_json.read(
        documents[databackend_json.NAME], placeholders(config_json.build(config.values))
    )
    library, library_problems = prompt_library_json.read(documents[prompt_library_json.NAME])
    unused = {config_json.NAME: config.unused, databackend_json.NAME: backends.unused}
    settings = config_json.build(
        config.values,
        datasets=tuple(backends.datasets),
        library=tuple(library),
        lycoris=lycoris,
        environment=environment,
        unused={name: keys for name, keys in unused.items() if keys},
        written=dict(texts),
    )
    notes += [
        *backends.notes,
        *env_notes,
        *_environment_notes(environment),
        *_lycoris_note(settings, config.values),
        *adapter.notes(settings),
        *_token_note(settings),
        *_kept_apart(settings),
    ]
    problems = (*config.problems, *backends.problems, *library_problems)
    return Five(settings, tuple(notes), problems, config.filled)


def placeholders(settings: RunSettings) -> dict[str, str]:
    """What SimpleTuner fills into texts of multidatabackend.json; `{id}` comes with each entry."""
    return {"model_family": settings.model.model_family, "output_dir": settings.saving.output_dir}


def texts_of(settings: RunSettings) -> dict[str, str]:
    """The text of each file, by its usual name; a file without a change keeps its text to the letter."""
    found = read(settings.written, {}) if settings.written else Five(RunSettings())
    before = found.settings
    documents = documents_of(settings.written, {})
    after = {
        config_json.NAME: config_json.write(documents[config_json.NAME], before, settings, found.filled),
        databackend_json.NAME: databackend_json.write(documents[databackend_json.NAME], before, settings),
        prompt_library_json.NAME: prompt_library_json.write(
            documents[prompt_library_json.NAME], settings.library
        ),
        lycoris_json.NAME: dict(settings.lycoris),
    }
    texts = {name: text for name, text in settings.written.items() if name not in after}
    texts |= {
        name: settings.written[name]
        if name in settings.written and documents[name] == document
        else to_json(document)
        for name, document in after.items()
        if document or name in settings.written
    }
    if settings.environment or env_file.NAME in settings.written:
        text = settings.written.get(env_file.NAME, "")
        texts[env_file.NAME] = env_file.write(text, before.environment, settings.environment)
    return texts


def _environment_notes(environment: Mapping[str, str]) -> list[str]:
    return [
        f"{env_file.NAME}: '{name}' is set while the run goes on; what reads it only when a program starts "
        "needs it in the system."
        for name in of_the_system(environment)
    ]


def _lycoris_note(settings: RunSettings, told: Mapping[str, Any]) -> list[str]:
    if not settings.lycoris or "lora_type" in told:
        return []
    reason = f"'lora_type' is not given, and '{lycoris_json.plain_lora(told)}' is for a plain LoRA"
    return [f"{lycoris_json.NAME} is not used: {reason}."]


def _token_note(settings: RunSettings) -> list[str]:
    if settings.trigger or not any(TOKEN in one.name + one.prompt for one in settings.library):
        return []
    return [
        f"{prompt_library_json.NAME} holds {TOKEN}, and there is no 'instance_prompt' to put in its place."
    ]


def _kept_apart(settings: RunSettings) -> list[str]:
    if settings.sampling.eval_steps_interval:
        return []
    return [
        f"{databackend_json.NAME}: dataset '{one.id}' is kept apart, and its loss is not measured; "
        "'eval_steps_interval' says how often it should be."
        for one in settings.datasets
        if one.holds == EVALUATION and not one.disabled
    ]
