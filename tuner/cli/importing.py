"""`import`: the configuration of another trainer as a run folder of ours."""

from __future__ import annotations

from argparse import Namespace

from tuner import files
from tuner.cli.output import report
from tuner.errors import Advice, ConfigFileBroken
from tuner.files.importers import imported


def run(arguments: Namespace) -> int:
    """Write the five files into DIR/config, and list what was not carried over."""
    config = arguments.to / "config"
    if config.exists():
        raise ConfigFileBroken(
            f"There is a folder '{config}' already.", Advice("Give another one with --to.")
        )
    one = imported(arguments.file)
    settings = files.changed(
        one.settings, {"saving.output_dir": arguments.to.as_posix(), "saving.tracker_run_name": one.name}
    )
    files.save_all(settings, config)
    lines = [f"A recipe of {one.program}, written to {config}."]
    lines += [f"Not carried over: {sentence}" for sentence in one.left]
    report(arguments, {"program": one.program, "config": str(config), "left": one.left}, lines)
    return 0
