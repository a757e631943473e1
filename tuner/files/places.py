"""Where in the files a problem stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tuner.files.config_json as config_json
import tuner.files.databackend_json as databackend_json
import tuner.files.env_file as env_file
import tuner.files.prompt_library_json as prompt_library_json
from tuner.errors import Problem
from tuner.files.documents import line_of
from tuner.settings.environment import TWINS
from tuner.settings.run import dataset_specs, specs


def placed(problem: Problem, texts: Mapping[str, str], paths: Mapping[str, Path]) -> Problem:
    """The problem with file and line in front of its sentence."""
    file, line = _place(problem, texts)
    line_text = f", line {line}" if line else ""
    return replace(problem, message=f"{paths[file]}{line_text}: {problem.message}")


def _place(problem: Problem, texts: Mapping[str, str]) -> tuple[str, int]:
    section, _, rest = problem.path.partition(".")
    if section == "datasets":
        return databackend_json.NAME, _dataset_line(
            texts[databackend_json.NAME], rest.rpartition(".")[0], problem.key
        )
    if section == "library":
        return prompt_library_json.NAME, line_of(texts[prompt_library_json.NAME], problem.key)
    spellings = next((spec.keys for spec in specs() if spec.path == problem.path), (problem.key,))
    line = max(line_of(texts[config_json.NAME], key) for key in spellings)
    if line:
        return config_json.NAME, line
    return _environment_place(problem.key, texts.get(env_file.NAME, ""))


def _environment_place(key: str, text: str) -> tuple[str, int]:
    for number, line in enumerate(text.splitlines(), start=1):
        match = env_file.LINE.match(line)
        if match and TWINS.get(match["key"]) == key:
            return env_file.NAME, number
    return config_json.NAME, 0


def _dataset_line(text: str, name: str, key: str) -> int:
    """The line of the key inside the entry called `name`, or of the entry where the key is not in it."""
    spellings = next((spec.keys for spec in dataset_specs() if spec.name == key), (key,))
    for number, (start, end) in enumerate(_spans(text), start=1):
        entry = json.loads(text[start:end])
        if isinstance(entry, dict) and str(entry.get("id") or f"entry {number}") == name:
            before = text.count("\n", 0, start)
            return before + max(1, *(line_of(text[start:end], one) for one in spellings))
    return 0


def _spans(text: str) -> list[tuple[int, int]]:
    """Where each element of a JSON list begins and ends."""
    decoder, position = json.JSONDecoder(), text.index("[") + 1
    found: list[tuple[int, int]] = []
    while True:
        while position < len(text) and (text[position].isspace() or text[position] == ","):
            position += 1
        if position >= len(text) or text[position] == "]":
            return found
        _, end = decoder.raw_decode(text, position)
        found.append((position, end))
        position = end
