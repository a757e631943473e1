"""What the pages for people say is there: commands, files, links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT
from tuner import presets
from tuner.install import builds
from tuner.install.__main__ import COMMANDS
from tuner.optimizers import catalog as optimizers

PAGES = ("README.md", "CONTRIBUTING.md", "tuner/README.md")
MADE_BY_RUNNING = ("runs/", "cache/", "my-presets/", ".venv")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def found(pattern: str, *pages: str) -> list[str]:
    return sorted({match for page in pages for match in re.findall(pattern, text(page))})


@pytest.mark.parametrize("word", found(r"install\.(?:sh|bat)(?: (\w+))?`", *PAGES))
def test_the_installer_knows_the_word(word: str) -> None:
    assert word in COMMANDS


def test_both_systems_have_the_same_commands() -> None:
    linux, windows = (
        found(rf"`{name}(?: (\w+))?`", "README.md") for name in (r"bash install\.sh", r"install\.bat")
    )
    assert {"", "practice", "test"} <= set(windows) <= set(linux)


def named_commands() -> list[str]:
    """Every `python -m tuner WORD`, and those that the sentence behind `--help` lists."""
    listed = re.findall(r"--help` names the other commands: (.+?)\.", text("README.md"), re.DOTALL)
    return sorted({*found(r"-m tuner (\w+)", *PAGES), *re.findall(r"`(\w+)`", listed[0])})


@pytest.mark.parametrize("command", ["", *named_commands()])
def test_the_command_line_knows_the_command(command: str) -> None:
    words = [sys.executable, "-m", "tuner", *command.split(), "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"tuner {command}".strip() in done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text(page)) if "://" not in link]
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """In backticks, with a folder; seen from the top, or for the map of the house from `tuner/`."""
    names = [name for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text(page)) if name == name.lower()]
    ours = [name for name in names if not name.startswith(MADE_BY_RUNNING)]
    missing = [name for name in ours if not ((ROOT / name).exists() or (ROOT / "tuner" / name).exists())]
    assert not missing


def test_the_way_without_a_card_is_the_one_that_is_understood() -> None:
    asked = found(r"FLUXTUNER_TORCH=(\w+)", *PAGES)
    assert asked
    assert all(builds.choose([], name) for name in asked)


def preset_rows() -> list[str]:
    """The table of the presets, as its page has it."""
    return [
        f"| {f'{one.card_gb} GB' if one.card_gb else 'none'} | `{one.name}` "
        f"| {f'{one.vram_gb:g} GB VRAM, ' if one.vram_gb else ''}{one.ram_gb:g} GB RAM "
        f"| {presets.settings_of(one.name).dataset.resolution:g} px |"
        for one in presets.listed()
    ]


def test_the_presets_are_as_the_table_says() -> None:
    assert "\n".join(preset_rows()) in text("README.md")


def test_the_number_of_optimizers() -> None:
    assert f"{len(optimizers.names())} optimizers" in text("README.md")


def test_the_licence_is_there() -> None:
    licence = text("LICENSE")
    assert "Apache License" in licence
    assert "The FluxTuner authors" in licence
    assert Path(ROOT / "LICENSE").stat().st_size > 10_000
