"""The rehearsal of the recipe: two real steps ahead of the run, and what they have measured."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

from tuner import files
from tuner.errors import told
from tuner.files import journal
from tuner.files.run_folder import RunFolder
from tuner.plan import rehearsal, sources
from tuner.plan.phases import Plan
from tuner.plan.rehearsal import Measured
from tuner.ui import markup
from tuner.ui import recipe_words as words
from tuner.ui.desk import Desk


def start(desk: Desk) -> None:
    """Rehearse the recipe in the background; the page shows it meanwhile. Raises TunerError like a start."""
    before = desk.folder
    desk.turn_to(desk.session.rehearse(desk.draft.folder))
    threading.Thread(target=_end, args=(desk, before), name="rehearsal", daemon=True).start()


def _end(desk: Desk, before: RunFolder | None) -> None:
    """Show again what was shown before, and how the rehearsal failed, if it did."""
    with told(desk.report):
        desk.session.join()
        folder = desk.session.rehearsal
        trouble = desk.shown_trouble if desk.folder == folder else None
        for made in (folder.samples, folder.exports, *folder.checkpoints()):
            shutil.rmtree(made, ignore_errors=True)
        if desk.folder == folder and not desk.session.running:
            desk.go_back(before)
        if trouble is not None:
            desk.report(trouble)
        desk.draft.came_to_know()


def is_going(desk: Desk) -> bool:
    plan = desk.session.plan
    return desk.session.running and plan is not None and plan.folder == desk.session.rehearsal


def progress(desk: Desk) -> str:
    """Where it is, with a bar and a button to stop it; nothing while none goes on."""
    if not is_going(desk):
        return ""
    view = desk.view
    phase = next((one for one in view.phases if one.name == view.phase), None)
    title, done, total = (phase.title, phase.done, phase.total) if phase else (words.READY, 0, 0)
    said = words.rehearsing(title, done, total)
    if desk.session.stopping:
        return markup.sentence(words.STOPPING_REHEARSAL)
    place = sum(one.state in ("done", "skipped") for one in view.phases)
    bar = markup.bar(words.REHEARSAL, place, len(view.phases), said)
    return f"{markup.sentence(said)}{bar}{markup.button('stop', 'Stop the rehearsal')}"


def figures(desk: Desk) -> Measured | None:
    """What the last rehearsal measured, where it was one of the recipe as it is now."""
    folder, settings = desk.session.rehearsal, desk.draft.settings
    if is_going(desk) or not folder.events.is_file():
        return None
    then = files.load_all(folder.config).settings
    now = rehearsal.rehearsed(settings, folder.path)
    if then != replace(now, dataset=replace(now.dataset, cache_dir=then.dataset.cache_dir)):
        return None
    return rehearsal.measured(journal.read(folder.events)[0], settings)


def seconds(plan: Plan, told: Measured) -> float:
    """How long the whole run takes, with its samples."""
    drawn = rehearsal.num_samples(plan.settings, plan.num_steps) * len(
        sources.previews(plan.settings, plan.index)
    )
    return (plan.num_steps - plan.first_step) * told.step_seconds + drawn * (told.sample_seconds or 0.0)
