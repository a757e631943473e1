"""The folders in `runs/`: what can be done with runs that ended, and with those that wait for their turn."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tuner import files
from tuner.errors import Advice, ConfigFileBroken, TunerError
from tuner.files.importers import Imported, imported
from tuner.files.run_folder import RunFolder
from tuner.ui.desk import Desk

OPENERS = {"darwin": "open", "linux": "xdg-open"}


def folders(desk: Desk) -> list[RunFolder]:
    """Every run, begun or not, the latest change first."""
    return sorted((RunFolder(path) for path in desk.known_runs().values()), key=_changed, reverse=True)


def _changed(run: RunFolder) -> float:
    last = run.events if run.events.is_file() else run.config / "config.json"
    return last.stat().st_mtime


def enqueue(desk: Desk) -> str:
    """The recipe becomes a run that waits for its turn; returns its name. Raises TunerError like a start."""
    desk.draft.plan()
    name = desk.draft.name
    if _is_taken(desk, name):
        raise TunerError(f"A run called '{name}' goes on or waits.", Advice("Give this one another name."))
    desk.draft.write(RunFolder(desk.runs / name))
    desk.queue.add(name)
    desk.draft.next_name()
    return name


def _is_taken(desk: Desk, name: str) -> bool:
    return desk.is_going(name) or name in [one.run for one in desk.queue.entries]


def go_on(desk: Desk, run: str, num_steps: int | None = None) -> bool:
    """Go on with a run where it stopped, up to so many steps in all; True where it has to wait for its turn.

    Raises TunerError, also where the run has made that many steps already.
    """
    folder = desk.run_folder(run)
    if _is_taken(desk, run):
        raise TunerError(f"The run '{run}' goes on or waits already.")
    change: dict[str, object] = {"saving.resume_from_checkpoint": "latest"}
    if num_steps is not None:
        made = desk.history.view(folder.path).step
        if num_steps <= made:
            raise TunerError(
                f"'{run}' has made {made} steps already.", Advice(f"Give more than {made} steps in all.")
            )
        change |= {"optimization.max_train_steps": num_steps, "optimization.num_train_epochs": None}
    files.save_all(files.changed(files.load_all(folder.config).settings, change), folder.config)
    if desk.session.running or desk.queue.entries:
        desk.queue.add(run)
        return True
    desk.resume(run)
    return False


def copy(desk: Desk, run: str) -> None:
    """The recipe of a run as the one in progress, under a name that is free."""
    folder = desk.run_folder(run)
    desk.draft.adopt(files.load_all(folder.config).settings, run, desk.preset_of(folder))


def open_foreign(desk: Desk, paths: Sequence[Path]) -> Imported:
    """The configuration of another trainer as the recipe in progress; files that belong to it may be dropped
    along. Raises ConfigFileBroken where none of them is one.
    """
    with tempfile.TemporaryDirectory() as folder:
        together = [Path(shutil.copy(path, folder)) for path in paths]
        found, broken = None, ConfigFileBroken("No file was given.")
        for path in together:
            try:
                found = imported(path)
                break
            except ConfigFileBroken as error:
                broken = error
        if found is None:
            raise broken
    name = re.sub(r'[\\/:*?"<>|]+', "-", found.name).strip(". -")
    desk.draft.adopt(found.settings, name or "imported")
    return found


def delete(desk: Desk, run: str, typed: str) -> None:
    """Delete a run with everything in its folder, if its name was typed; a link is not followed."""
    folder = desk.run_folder(run)
    if typed.strip() != run:
        raise TunerError(f"To delete '{run}', type its name exactly.", Advice("Nothing was deleted."))
    if _is_taken(desk, run):
        raise TunerError(
            f"The run '{run}' goes on or waits.", Advice("Stop it and take it out of the queue first.")
        )
    if folder.path.is_symlink():
        raise TunerError(
            f"'{folder.path}' is only a link to another folder.", Advice("Delete it by hand, if you want to.")
        )
    shutil.rmtree(folder.path)
    desk.forget(folder)


def open_folder(path: Path) -> None:
    """Show a folder in this computer's file manager; raises TunerError where there is none."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = shutil.which(OPENERS.get(sys.platform, "xdg-open"))
    if opener is None:
        raise TunerError("There is no file manager to open it with.", Advice(f"The folder is '{path}'."))
    subprocess.Popen([opener, str(path)], start_new_session=True)
