"""The steps of an installation, with pip, venv and PyTorch stood in for."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tuner.errors import Advice, TunerError
from tuner.install import __main__ as main
from tuner.install import browser, builds, environment, pip
from tuner.install.environment import Venv


class Machine:
    """Stands in for everything outside: `calls` is what pip was told, `handed` what was started last."""

    def __init__(self, folder: Path) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.handed: list[str] = []
        self.cards: list[builds.Card] = []
        self.venv = Venv(folder / ".venv")
        self.fails: BaseException | None = None

    def pip(self, venv: Venv, *arguments: str) -> None:
        self.calls.append(arguments)
        if self.fails:
            raise self.fails
        for word in arguments:
            if word.startswith("torch=="):
                self.install_torch(word.removeprefix("torch=="))
        if arguments[0] == "uninstall":
            (self.packages / f"torch-{venv.version('torch')}.dist-info" / "RECORD").unlink()
            (self.packages / f"torch-{venv.version('torch')}.dist-info").rmdir()

    @property
    def packages(self) -> Path:
        return self.venv.folder / "lib/python3.11/site-packages"

    def install_torch(self, version: str) -> None:
        info = self.packages / f"torch-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").write_text("", encoding="utf-8")

    def hand_over(self, venv: Venv, arguments: list[str]) -> int:
        self.handed = list(arguments)
        return 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_bytes((environment.ROOT / name).read_bytes())
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(environment, "TOOLS", tmp_path / "requirements-dev.txt")
    monkeypatch.setattr(environment, "ensure", lambda venv: made.packages.mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(environment, "check_space", lambda folder, gb: None)
    monkeypatch.setattr(Venv, "runs", lambda venv: venv.folder.exists())
    monkeypatch.setattr(Venv, "packages", property(lambda venv: made.packages))
    monkeypatch.setattr(builds, "cards", lambda: tuple(made.cards))
    monkeypatch.setattr(builds, "reachable", lambda url: True)
    monkeypatch.setattr(browser, "ensure", lambda log: None)
    monkeypatch.setattr(pip, "run", made.pip)
    monkeypatch.setattr(main, "_try_torch", lambda venv, build: None)
    monkeypatch.setattr(main, "_hand_over", made.hand_over)
    monkeypatch.delenv("FLUXTUNER_TORCH", raising=False)
    return made


CARD = builds.Card("RTX 4090", "590.10", (8, 9))


@pytest.mark.parametrize("word", ["", "practice", "doctor"])
def test_torch_comes_first_and_nothing_may_replace_it(machine: Machine, word: str) -> None:
    assert main.main([word] if word else []) == 0
    torch, rest = machine.calls
    assert torch[:2] == ("install", f"torch=={main._pinned_torch()}+cpu")
    fence = machine.venv.folder / "constraints.txt"
    assert rest == ("install", "-r", str(environment.REQUIREMENTS), "-c", str(fence))
    assert fence.read_text(encoding="utf-8") == f"torch=={main._pinned_torch()}+cpu\n"
    assert tuple(machine.handed) == main.COMMANDS[word]


def test_the_second_start_checks_the_stamp_and_not_pip(machine: Machine) -> None:
    main.main(["practice"])
    machine.calls.clear()
    assert main.main(["practice", "--json"]) == 0
    assert machine.calls == []
    assert machine.handed == ["-m", "tuner", "practice", "--json"]


def test_changed_pins_are_installed_and_torch_stays(machine: Machine) -> None:
    main.main([])
    machine.calls.clear()
    with environment.REQUIREMENTS.open("a", encoding="utf-8") as file:
        file.write("another==1.0\n")
    main.main([])
    assert [call[:2] for call in machine.calls] == [("install", "-r")]


def test_the_tools_come_once_and_only_for_the_tests(machine: Machine) -> None:
    main.main([])
    machine.calls.clear()
    main.main(["test"])
    main.main(["test"])
    main.main([])
    tools = ("install", "-r", str(environment.TOOLS), "-c", str(environment.REQUIREMENTS))
    assert machine.calls == [tools]


def test_an_interruption_leaves_no_stamp_and_the_next_start_goes_on(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.fails = KeyboardInterrupt()
    assert main.main(["practice"]) == 3
    assert "goes on where it stopped" in capsys.readouterr().out
    assert environment.read_stamp(machine.venv) == {}
    machine.fails = None
    assert main.main(["practice"]) == 0
    assert machine.handed


def test_a_new_card_brings_its_build(machine: Machine) -> None:
    main.main([])
    machine.calls.clear()
    machine.cards = [CARD]
    main.main([])
    assert machine.calls[0] == ("uninstall", "--yes", "torch")
    assert machine.calls[1][1].endswith("+cu130")


def test_a_card_that_does_not_answer_today_changes_nothing(machine: Machine) -> None:
    machine.cards = [CARD]
    main.main([])
    machine.calls.clear()
    machine.cards = []
    main.main([])
    assert machine.calls == []


def test_what_the_user_asked_for_stays(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.cards = [CARD]
    monkeypatch.setenv("FLUXTUNER_TORCH", "cpu")
    main.main([])
    monkeypatch.delenv("FLUXTUNER_TORCH")
    machine.calls.clear()
    main.main([])
    assert machine.calls == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TunerError("The disk became full.", Advice("Free some space.")), "-> Free some space."),
        (OSError(errno.ENOSPC, "No space left on device", "/x/.venv"), "No space left on device: /x/.venv."),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied: /x."),
    ],
)
def test_a_failure_is_a_sentence_and_exit_code_1(
    machine: Machine, capsys: pytest.CaptureFixture[str], error: BaseException, says: str
) -> None:
    machine.fails = error
    assert main.main(["practice"]) == 1
    said = capsys.readouterr().out
    assert says in said
    assert "Traceback" not in said
    assert machine.handed == []


def test_an_unknown_word_gets_the_usage(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["pratcice"]) == 2
    assert "practice" in capsys.readouterr().out
    assert machine.calls == []
