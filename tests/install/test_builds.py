"""Which PyTorch a machine gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.install import builds
from tuner.install.builds import BUILDS, CPU_BUILD, Card


@pytest.mark.parametrize(
    ("name", "driver", "capability", "expected"),
    [
        ("GTX 1080", "580.65.06", (6, 1), "cu126"),
        ("Tesla V100", "535.104", (7, 0), "cu126"),
        ("RTX 2080 Ti", "580.65.06", (7, 5), "cu130"),
        ("RTX 3090", "550.54.14", (8, 6), "cu126"),
        ("RTX 3090", "581.29", (8, 6), "cu130"),
        ("RTX 4090", "590.10", (8, 9), "cu130"),
        ("H200", "570.133", (9, 0), "cu126"),
        ("RTX 5090", "580.82", (12, 0), "cu130"),
    ],
)
def test_each_card_gets_the_newest_build_that_its_driver_runs(
    name: str, driver: str, capability: tuple[int, int], expected: str
) -> None:
    assert builds.choose([Card(name, driver, capability)]).name == expected


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (Card("RTX 5090", "570.86", (12, 0)), "driver 570.86 is too old"),
        (Card("RTX 3090", "470.223", (8, 6)), "driver 470.223 is too old"),
        (Card("Quadro K2000", "580.1", (3, 0)), "Quadro K2000 is too old"),
    ],
)
def test_what_cannot_work_is_said_before_gigabytes_are_fetched(card: Card, says: str) -> None:
    with pytest.raises(TunerError, match=says) as caught:
        builds.choose([card])
    assert any("FLUXTUNER_TORCH=cpu" in advice.text for advice in caught.value.advice)


def test_without_a_card_the_processor_build() -> None:
    assert builds.choose([]) is CPU_BUILD


def test_of_two_cards_the_newer_one_decides() -> None:
    pair = [Card("GTX 1080", "580.1", (6, 1)), Card("RTX 5090", "580.1", (12, 0))]
    assert builds.choose(pair).name == "cu130"


def test_the_user_has_the_last_word() -> None:
    assert builds.choose([Card("RTX 4090", "590.10", (8, 9))], "cpu") is CPU_BUILD
    with pytest.raises(TunerError, match="rocm"):
        builds.choose([], "rocm")


def test_the_answer_of_nvidia_smi_is_read() -> None:
    answer = "NVIDIA GeForce RTX 3090, 550.54.14, 8.6\nNVIDIA Odd Card, [N/A], [N/A]\n\n"
    assert builds.parse_cards(answer) == (Card("NVIDIA GeForce RTX 3090", "550.54.14", (8, 6)),)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize("status", [0, 9])
def test_a_card_counts_only_if_nvidia_smi_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho 'RTX 4090, 590.10, 8.9'\nexit {status}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert len(builds.cards()) == (status == 0)


@pytest.mark.parametrize(
    ("platform", "build", "reached", "expected"),
    [
        ("linux", "cpu", True, ["torch==2.13.0+cpu", "--extra-index-url", f"{builds.WHEELS}/cpu"]),
        ("linux", "cpu", False, ["torch==2.13.0"]),
        ("linux", "cu130", True, ["torch==2.13.0+cu130", "--extra-index-url", f"{builds.WHEELS}/cu130"]),
        ("linux", "cu130", False, ["torch==2.13.0"]),
        ("linux", "cu126", True, ["torch==2.13.0+cu126", "--extra-index-url", f"{builds.WHEELS}/cu126"]),
        ("win32", "cpu", True, ["torch==2.13.0"]),
        ("win32", "cu130", True, ["torch==2.13.0+cu130", "--extra-index-url", f"{builds.WHEELS}/cu130"]),
        ("darwin", "cpu", True, ["torch==2.13.0"]),
        ("linux", "cu126", False, None),
        ("win32", "cu130", False, None),
    ],
)
def test_where_each_build_comes_from(
    monkeypatch: pytest.MonkeyPatch, platform: str, build: str, reached: bool, expected: list[str] | None
) -> None:
    monkeypatch.setattr(builds.sys, "platform", platform)
    monkeypatch.setattr(builds, "reachable", lambda url: reached)
    if expected is None:
        with pytest.raises(TunerError, match="cannot be reached"):
            builds.pip_arguments(BUILDS[build], "2.13.0")
    else:
        assert builds.pip_arguments(BUILDS[build], "2.13.0") == expected


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("2.13.0+cpu", True), ("2.13.0", True), ("2.13.0+cu130", False), ("2.12.1+cpu", False), ("", False)],
)
def test_only_the_very_build_counts_as_installed(installed: str, expected: bool) -> None:
    assert builds.fits(CPU_BUILD, installed, "2.13.0") is expected


def test_an_address_that_does_not_answer_is_not_reachable() -> None:
    assert not builds.reachable("http://127.0.0.1:9/torch/")
