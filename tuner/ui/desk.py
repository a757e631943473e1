"""What every tab of every browser shares: the session, the recipe in progress, the trouble that came up.

Nothing is kept per visitor.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from tuner import machine, presets, queue
from tuner.errors import Advice, SettingsInvalid, TunerError, Unexpected, told
from tuner.files import from_export
from tuner.files.run_folder import RunFolder
from tuner.machine import Reading
from tuner.presets import Outlook, Preset
from tuner.queue import Queue
from tuner.session import Session, read_run
from tuner.ui import delivery, wording
from tuner.ui.captioning import Captioning
from tuner.ui.draft import MARK, Draft
from tuner.ui.history import History
from tuner.ui.thumbnails import Thumbnails
from tuner.ui.watchdog import Watchdog
from tuner.view import RunView

if TYPE_CHECKING:
    from tuner.training.export_preview import ExportPreview
    from tuner.training.sending import Sent


class Desk:
    """One for the whole app. Its methods check what the page sends and raise TunerError."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.history = History()
        self.runs = session.root / "runs"
        self.thumbnails = session.root / ".tmp" / "thumbnails"
        self.small = Thumbnails(self.thumbnails)
        self.inbox = session.root / "pictures"
        self.folder: RunFolder | None = None
        self.trouble: TunerError | None = None
        self.sent: Sent | None = None
        self.strip: Path | None = None
        self.tried: Path | None = None
        self.compared: ExportPreview | None = None
        self.walking: int | None = None
        """The open step of Setup at the very first start; None once that is over."""
        self.watchdog = Watchdog(session.root)
        self._computer: Reading | None = None
        self._dismissed = False
        self._born, self._edits, self._num_exports, self._num_deletions = time.time_ns(), 0, 0, 0
        self._pick_up()
        self.draft = Draft(session.root, lambda: presets.recommended(self.computer).name, self.report)
        self.captioning = Captioning(self.report, self.draft.look_again)
        self.queue = self._open_queue()

    # What the page watches

    @property
    def view(self) -> RunView:
        return self.session.view

    @property
    def stamp(self) -> str:
        """Changes whenever something that the page shows every second has changed."""
        return f"{self._born}.{self._edits}.{self.view.sequence}.{self.captioning.sequence}{self._looks}"

    @property
    def _looks(self) -> str:
        done, _ = self.draft.looking.progress or ("", 0)
        return f".{done}.{self.draft.num_looks}"

    @property
    def pictures_stamp(self) -> str:
        """Changes with every new sample, checkpoint and export."""
        view = self.view
        last = view.samples[-1].path if view.samples else ""
        counts = f"{len(view.samples)}.{len(view.checkpoints)}.{len(view.exports)}.{self._num_exports}"
        return f"{self._born}.{view.started_at}.{view.state}.{counts}.{last}"

    @property
    def runs_stamp(self) -> str:
        """Changes with every run that begins, ends or goes, and with the queue."""
        view = self.view
        return f"{self._born}.{self._num_deletions}.{self.queue.sequence}.{view.started_at}.{view.state}"

    def _open_queue(self) -> Queue:
        """A list of waiting runs that cannot be read is put aside, and said so."""
        try:
            return Queue(self.session, self._begin)
        except TunerError as error:
            file = self.runs / queue.NAME
            aside = file.rename(file.with_name(f"queue-{time.time_ns()}.json"))
            self.report(TunerError(wording.queue_put_aside(aside), Advice(str(error))))
            return Queue(self.session, self._begin)

    def _pick_up(self) -> None:
        """After a restart the page shows the latest run, in whatever state it was left."""
        latest = next(iter(self.session.runs()), None)
        if latest is not None:
            self.open(latest.name)

    def welcome(self) -> bool:
        """Whether this is the very first start; it is only once."""
        mark = self.session.root / ".tmp" / "welcomed"
        if mark.is_file() or self.session.runs():
            return False
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        self.walking = 0
        return True

    @property
    def undo_folder(self) -> Path:
        """Where changes of captions are written down, so that they can be taken back."""
        return self.session.undo_folder

    # The computer

    def seconds(self, num_steps: int) -> float | None:
        """About how long so many steps take, judged by an earlier run of the same load, or None."""
        pace = self.history.pace(self.draft.settings, self.session.runs())
        return None if pace is None else pace * num_steps

    @property
    def computer(self) -> Reading:
        """As it is between runs: what a run takes will be free for the next one."""
        if self._computer is None or not self.session.running:
            self._computer = machine.read()
        return self._computer

    def outlooks(self) -> tuple[Outlook, ...]:
        """What each preset would need here, the smallest card first."""
        return tuple(presets.outlook(preset, self.computer) for preset in presets.listed())

    def preset_seconds(self, preset: Preset) -> float | None:
        """About how long a run with this preset takes, where an earlier one of the same load is known."""
        settings = presets.settings_of(preset.name)
        pace, steps = self.history.pace(settings, self.session.runs()), settings.optimization.max_train_steps
        return None if pace is None or steps is None else pace * steps

    # Runs

    def start(self) -> None:
        """Start the recipe's run; the next one gets a new name. Raises StillLooking, as long as the pictures
        are not known: the run would look at them all over again.
        """
        self.draft.index()
        self._begin(self.draft.folder)
        assert self.folder is not None
        shutil.copy(self.draft.folder / MARK, self.folder.config / MARK)
        self.draft.next_name()

    def preset_of(self, run: RunFolder) -> str:
        """The preset that a run began with; "" where nobody knows."""
        mark = run.config / MARK
        return mark.read_text(encoding="utf-8") if mark.is_file() else ""

    def open_export(self, file: Path) -> tuple[str, ...]:
        """Take over the recipe that an exported LoRA carries, for the pictures that are chosen now; returns
        what there is to say about it.
        """
        loaded = from_export.load_export(file, self.runs / file.stem, Path(self.draft.pictures_folder))
        self.draft.adopt(loaded.settings, file.stem)
        return loaded.notes

    def resume(self, run: str) -> None:
        """Go on with an earlier run where it stopped."""
        self._begin(self.run_folder(run).config)

    def _begin(self, config: Path) -> None:
        self.session.start(config)
        assert self.session.plan is not None
        run = self.session.plan.folder
        self.turn_to(run)
        threading.Thread(target=self._send_by_itself, args=(run,), name="delivery", daemon=True).start()

    def open(self, run: str) -> None:
        """Show an earlier run on the page."""
        folder = self.run_folder(run)
        self.session.open(folder.path)
        self.turn_to(folder)

    def go_back(self, to: RunFolder | None) -> None:
        """Show a run that was shown before; None where there was none, or where it has been deleted since."""
        if to is not None and to.events.is_file():
            self.open(to.name)
        else:
            self.session.put_away()
            self.folder = None
            self._edits += 1

    def turn_to(self, folder: RunFolder) -> None:
        """From now on the page shows this run."""
        gr.set_static_paths([folder.samples, folder.exports])
        self.folder, self.trouble = folder, None
        self.sent = self.strip = self.tried = self.compared = None
        self._dismissed = False
        self._edits += 1

    def run_folder(self, run: str) -> RunFolder:
        """A run below `runs`, by its name; what the page sends is not trusted."""
        known = self.known_runs()
        if run not in known:
            raise TunerError(f"There is no run '{run}' in '{self.runs}'.")
        return RunFolder(known[run])

    def known_runs(self) -> dict[str, Path]:
        """The folders below `runs` by name: of runs, and of recipes that were not started yet."""
        waiting = (path.parent.parent for path in self.runs.glob("*/config/config.json"))
        return {path.name: path for path in (*waiting, *self.session.runs())}

    def is_going(self, run: str) -> bool:
        plan = self.session.plan
        return (
            self.session.running
            and plan is not None
            and plan.folder.path.resolve() == self.runs.resolve() / run
        )

    def forget(self, run: RunFolder) -> None:
        """A run was deleted: the page shows it no longer."""
        self._num_deletions += 1
        if self.folder is not None and self.folder.path.resolve() == run.path.resolve():
            self.session.put_away()
            self.folder = None

    def pause_or_resume(self) -> None:
        if self.view.state == "paused":
            self.session.resume()
        else:
            self.session.pause()

    def stop(self) -> None:
        """The run, and with it the queue: the next one waits for a word."""
        self.queue.hold()
        self.session.stop()
        self._edits += 1

    def _send_by_itself(self, run: RunFolder) -> None:
        """Once a run has finished, where that was asked for on Setup; a thread of its own waits for it."""
        with told(self.report):
            self.session.join()
            wish = delivery.read(self.session.root)
            if not wish.automatic or read_run(run.path).state != "finished":
                return
            sent = self.session.send(run.path, named_folder(wish.folder))
            if self.folder is not None and self.folder.path == run.path:
                self.sent = sent
            self.pictures_changed()

    def pictures_changed(self) -> None:
        """There is something new to see of the run on the page."""
        self._num_exports += 1

    def shown_run(self) -> RunFolder:
        """The run on the page; raises TunerError where there is none."""
        if self.folder is None:
            raise TunerError("There is no run to export.", Advice("Open one on the Runs tab, or start one."))
        return self.folder

    # Trouble

    @property
    def shown_trouble(self) -> TunerError | None:
        """What the failure card says: a start that was refused, else how the run on the page failed."""
        failure = self.view.failure
        if self.trouble is not None or failure is None or self._dismissed:
            return self.trouble
        return (Unexpected if failure.unexpected else TunerError)(failure.message, *failure.advice)

    @property
    def advice(self) -> tuple[Advice, ...]:
        trouble = self.shown_trouble
        if trouble is None:
            return ()
        problems = trouble.problems if isinstance(trouble, SettingsInvalid) else ()
        return (*trouble.advice, *(Advice("", p.change) for p in problems if p.change))

    def report(self, trouble: TunerError) -> None:
        self.trouble = trouble
        self._edits += 1

    def settle(self) -> None:
        """The trouble on the page has been read, or mended."""
        self.trouble, self._dismissed = None, True
        self._edits += 1

    def apply(self, number: int) -> None:
        """Carry the change of one advice over into the recipe."""
        if not 0 <= number < len(self.advice):
            raise TunerError("That advice is out of date.")
        self.draft.change(self.advice[number].change)
        self.settle()


def named_folder(name: str) -> Path | None:
    return Path(name).expanduser() if name else None
