"""The command line, the second client of session: `python -m tuner COMMAND`, one row of `COMMANDS` each."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner import __version__, presets
from tuner.bench import BENCHMARKS
from tuner.cli import commands, importing, runs
from tuner.cli.output import existing_file, explained, picture_path, report_error, tell, write_any_letter
from tuner.export import catalog
from tuner.files import importers
from tuner.quantization import catalog as precisions
from tuner.settings.request import FLORENCE, INSTRUCTIONS


@dataclass(frozen=True)
class Argument:
    """As `ArgumentParser.add_argument` takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


def _argument(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


@dataclass(frozen=True)
class Command:
    """`run` gives the exit code; every command takes --json beside its own arguments."""

    name: str
    help: str
    run: Callable[[Namespace], int]
    arguments: tuple[Argument, ...] = ()


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 settings or files are wrong, 3 stopped by the user."

DIR = _argument(
    "dir", metavar="DIR", type=Path, help="a folder with the five files, or one that holds 'config'"
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "train",
        "Start a run, or go on with it; several have their turn one after the other.",
        runs.train,
        (_argument("dirs", metavar="DIR", type=Path, nargs="+", help=DIR.options["help"]),),
    ),
    Command(
        "practice",
        "Learn a new subject with the embedded practice model; needs no card and no download.",
        runs.practice,
        (
            _argument("--seed", type=int, metavar="N", help="seed of the training"),
            _argument("--precision", choices=precisions.working(), help="how the frozen model is stored"),
            _argument(
                "--lycoris", type=Path, metavar="FILE", help="a lycoris_config.json to train by, not a LoRA"
            ),
            _argument("--learning-rate", type=float, metavar="X", help="instead of the recipe's"),
        ),
    ),
    Command("check", "Read all files and pictures, and say what is wrong.", commands.check, (DIR,)),
    Command(
        "plan",
        "Show what a run would do and need.",
        commands.plan,
        (
            DIR,
            _argument("--vram", type=float, metavar="GB", help="plan for a card with so much memory"),
            _argument("--ram", type=float, metavar="GB", help="plan for a computer with so much memory"),
        ),
    ),
    Command(
        "dataset",
        "Show what becomes of each picture.",
        commands.dataset,
        (
            DIR,
            _argument(
                "--doctor", action="store_true", help="also names what is likely to spoil the training"
            ),
        ),
    ),
    Command(
        "caption",
        "Let Florence-2 write the captions that are missing.",
        commands.caption,
        (
            DIR,
            _argument("--model", metavar="FOLDER", default=FLORENCE, help="a folder or hub name"),
            _argument("--all", action="store_true", help="also where there is a caption already"),
            _argument(
                "--ask",
                metavar="TEXT",
                default="in detail",
                help=f"{', '.join(INSTRUCTIONS)}, or an instruction in your own words",
            ),
            _argument("--trigger", metavar="WORD", help="is put in front of each caption"),
        ),
    ),
    Command(
        "export",
        "Write a run's LoRA as a file for ComfyUI.",
        commands.export,
        (
            _argument("run", metavar="RUN", type=Path, help="the run folder"),
            _argument("--to", metavar="PATH", type=Path, help="a file or folder; default: the run's exports"),
            _argument("--dialect", choices=catalog.names(), default="comfyui"),
            _argument("--dtype", choices=catalog.DTYPES, default="float32"),
            _argument("--step", type=int, metavar="N", help="the checkpoint; default: the newest"),
            _argument(
                "--expected",
                metavar="FILE",
                type=Path,
                help="also writes inputs and the trained model's outputs, so that others can judge the LoRA",
            ),
        ),
    ),
    Command(
        "send",
        "Write a run's LoRA and hand it to ComfyUI, with its picture and workflow.",
        commands.send,
        (
            _argument("run", metavar="RUN", type=Path, help="the run folder"),
            _argument("--to", metavar="FOLDER", type=Path, help="a ComfyUI, or its folder of LoRAs"),
            _argument("--dtype", choices=catalog.DTYPES, default="float32"),
            _argument("--step", type=int, metavar="N", help="the checkpoint; default: the newest"),
            _argument("--sample", metavar="NAME", help="the preview that the workflow repeats"),
            _argument("--draw", action="store_true", help="has the running ComfyUI draw it at once"),
            _argument(
                "--preview", action="store_true", help="draws it here too, with the file itself, and compares"
            ),
        ),
    ),
    Command(
        "merge",
        "Write the whole transformer with a run's adapter inside, in bf16.",
        commands.merge,
        (
            _argument("run", metavar="RUN", type=Path, help="the run folder"),
            _argument(
                "--to",
                metavar="PLACE",
                type=Path,
                required=True,
                help="NAME.safetensors for one file as ComfyUI loads it, else a folder for diffusers",
            ),
            _argument("--step", type=int, metavar="N", help="the checkpoint; default: the newest"),
            _argument("--strength", type=float, metavar="X", default=1.0, help="default: 1.0"),
        ),
    ),
    Command(
        "open",
        "Write the recipe that an exported LoRA carries as the files of a new run.",
        commands.open_export,
        (
            _argument("file", metavar="FILE", type=existing_file, help="a LoRA that FluxTuner exported"),
            _argument("--to", metavar="DIR", type=Path, required=True, help="the new run folder"),
            _argument("--pictures", metavar="FOLDER", type=Path, help="the pictures to train on"),
        ),
    ),
    Command(
        "sample",
        "Draw one picture.",
        commands.sample,
        (
            DIR,
            _argument("--adapter", metavar="FILE", type=Path, help="without it, the untuned model draws"),
            _argument("--prompt", metavar="TEXT", required=True),
            _argument("--seed", metavar="N", type=int, default=0),
            _argument("--out", metavar="FILE", type=picture_path, required=True),
            _argument("--width", metavar="PX", type=int),
            _argument("--height", metavar="PX", type=int),
            _argument("--steps", metavar="N", type=int, help="sampling steps"),
            _argument("--guidance", metavar="X", type=float),
            _argument(
                "--reference",
                metavar="FILE",
                type=existing_file,
                action="append",
                default=[],
                help="a picture that kontext works on; may be given several times",
            ),
        ),
    ),
    Command(
        "import",
        "Write the configuration of another trainer as a run folder, and list what was not carried over.",
        importing.run,
        (
            _argument(
                "file",
                metavar="FILE",
                type=Path,
                help=f"of {', '.join(importers.NAMES)}",
            ),
            _argument("--to", metavar="DIR", type=Path, required=True, help="the new run folder"),
        ),
    ),
    Command("settings", "Explain every key of the five files, as in docs/settings.md.", commands.settings),
    Command(
        "doctor",
        "Check this computer.",
        commands.computer,
        (_argument("--layers", action="store_true", help="also compute quantized layers; takes a minute"),),
    ),
    Command(
        "bench",
        "Measure speed and memory.",
        commands.bench,
        (
            _argument("what", choices=tuple(BENCHMARKS), help="what is measured"),
            _argument("--rounds", metavar="N", type=int, default=3, help="pairs of measurements"),
            _argument("--card", metavar="GB", type=float, help="use no more of the card than that"),
            _argument(
                "--random-weights", action="store_true", help="FLUX.1 in full size, without a download"
            ),
            _argument("--toy", action="store_true", help="tiny models: whether it all works"),
            _argument(
                "--preset",
                choices=[one.name for one in presets.listed()],
                default="48gb-bf16",
                help="what a whole run is set to",
            ),
        ),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. -> exit code"""
    write_any_letter()
    _log_to_console()
    given = parser().parse_args(arguments)
    try:
        code: int = given.command(given)
        return code
    except KeyboardInterrupt:
        tell("Ended.")
        return runs.STOPPED
    except Exception as exception:  # noqa: BLE001 - one of the three places where errors become sentences
        return report_error(given, explained(exception))


def parser() -> ArgumentParser:
    whole = ArgumentParser(
        prog="python -m tuner", description="Fine-tune FLUX.1 with LoRA.", epilog=EXIT_CODES
    )
    whole.add_argument("--version", action="version", version=__version__)
    table = whole.add_subparsers(metavar="COMMAND", required=True)
    for row in COMMANDS:
        one = table.add_parser(row.name, help=row.help, description=row.help)
        one.set_defaults(command=row.run)
        one.add_argument("--json", action="store_true", help="exactly one JSON object on standard output")
        for argument in row.arguments:
            one.add_argument(*argument.names, **argument.options)
    return whole


def _log_to_console() -> None:
    """Warnings go to standard error; tracebacks do not: they stand in a file, and the screen says where."""
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.exc_info is None)
    logging.basicConfig(handlers=[console])
