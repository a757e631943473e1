"""The fences of the house, over the source itself: what may import what, and where."""

from __future__ import annotations

import ast
import re

import pytest

from tests import house

MODULES = sorted(house.modules())
DOOR = "session"  # the one room that opens others inside a function: training and export, when a run starts
ONE_FILE_ONLY = ("peft", "lycoris", "optimum")


def own(module: str) -> list[house.Import]:
    return [i for i in house.imports(module) if i.target.startswith("tuner.")]


def test_every_room_has_a_level_and_every_level_has_its_rooms() -> None:
    rooms = {house.room(name) for name in MODULES} - {""}
    assert rooms <= house.levels().keys(), "a room that the picture in tuner/__init__.py does not know"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    here = house.room(module)
    for found in own(module):
        there = house.room(found.target)
        if there != here:
            assert house.levels()[there] < house.levels()[here], f"line {found.line}: {here} imports {there}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_session_opens_another_room_inside_a_function(module: str) -> None:
    here = house.room(module)
    doors = [i for i in own(module) if i.when == "call" and house.room(i.target) != here]
    assert not doors or here == DOOR, f"lines {[i.line for i in doors]}"


@pytest.mark.parametrize("library", ONE_FILE_ONLY)
def test_a_library_with_one_home(library: str) -> None:
    homes = {
        module
        for module in MODULES
        for found in house.imports(module)
        if found.target.split(".")[0] == library and found.when == "start"
    }
    assert len(homes) <= 1, homes


def test_no_cycle_of_imports() -> None:
    """Also inside a room, and counting what is imported inside functions or for types alone."""
    below = {module: {i.target for i in own(module)} & set(MODULES) - {module} for module in MODULES}
    while True:
        imported = set().union(*below.values())
        ends = {module for module, targets in below.items() if not targets or module not in imported}
        if not ends:
            break
        below = {module: targets - ends for module, targets in below.items() if module not in ends}
    assert not below, f"these import each other: {sorted(below)}"


@pytest.mark.parametrize("module", sorted(set(MODULES) - house.heavy_modules()))
def test_a_file_with_a_dagger_reaches_no_file_without(module: str) -> None:
    seen: set[str] = set()
    open_ends = [module]
    while open_ends:
        name = open_ends.pop()
        seen.add(name)
        parents = {".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)}
        reached = parents | {i.target for i in own(name) if i.when == "start"}
        open_ends += sorted((reached & set(MODULES)) - seen)
    assert not seen & house.heavy_modules()


def test_ruff_and_mypy_agree_on_the_files_without_a_dagger() -> None:
    relaxed = set(house.settings_of_tools()["mypy"]["overrides"][0]["module"])
    assert relaxed == house.heavy_modules()


def test_every_file_without_a_dagger_is_there() -> None:
    assert house.heavy_modules() <= set(MODULES)


@pytest.mark.parametrize("module", [m for m in MODULES if house.room(m) != "cli"])
def test_nothing_prints_but_the_command_line(module: str) -> None:
    calls = [node for node in ast.walk(house.tree(house.modules()[module])) if isinstance(node, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


def test_the_picture_in_the_readme_shows_the_same_levels() -> None:
    text = (house.ROOT / "tuner" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ (\d)  ((?:[a-z_]+ *)+)$", text, re.MULTILINE)
    assert {name: int(level) for level, names in rows for name in names.split()} == house.levels()
