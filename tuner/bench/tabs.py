"""What three open pages cost a run that goes on, and how quickly they are answered meanwhile: the practice
run by turns from the command line and in the app, its pages played by clients that ask as a browser does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner import presets
from tuner.bench.shared import Asked, about
from tuner.events import RunFinished, StepDone
from tuner.files import journal
from tuner.files.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
NUM_TABS, WARM_STEPS = 3, 10
PATIENCE_SECONDS = 1800


def tabs(asked: Asked) -> dict[str, Any]:
    """`step_ratio` is the median over pairs of runs: seconds a step with the pages by those without."""
    num_steps = WARM_STEPS + (5 if asked.toy else 150)
    pairs, ticks = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(asked.rounds):
            alone = _alone(Path(scratch) / f"alone-{number}", num_steps)
            watched, asked_for = _watched(Path(scratch) / f"watched-{number}", num_steps)
            pairs.append((alone, watched))
            ticks += asked_for
    ratios = [round(watched / alone, 4) for alone, watched in pairs]
    settings = {"num_rounds": asked.rounds, "num_tabs": NUM_TABS, "num_steps": num_steps, "toy": asked.toy}
    return {
        **about("tabs", settings),
        "step_seconds_alone": round(statistics.median(alone for alone, _ in pairs), 4),
        "step_seconds_with_pages": round(statistics.median(watched for _, watched in pairs), 4),
        "step_ratios": ratios,
        "step_ratio": statistics.median(ratios),
        "num_ticks": len(ticks),
        "tick_milliseconds": round(1000 * statistics.median(ticks), 1),
    }


def _run(root: Path, num_steps: int) -> RunFolder:
    """The practice recipe without samples in between, in a root of its own."""
    folder = RunFolder(root / "runs" / "measured")
    change = {
        "saving.output_dir": str(folder.path),
        "optimization.max_train_steps": num_steps,
        "sampling.validation_step_interval": num_steps,
        "sampling.disable_benchmark": True,
    }
    presets.apply("practice", folder.config, change)
    return folder


def _seconds(folder: RunFolder) -> float:
    """The median of its steps, the first ones left out."""
    events = journal.read(folder.events)[0]
    steps = [one.seconds for one in events if isinstance(one, StepDone) and one.step > WARM_STEPS]
    return statistics.median(steps)


def _alone(root: Path, num_steps: int) -> float:
    folder = _run(root, num_steps)
    command = [sys.executable, "-m", "tuner", "train", str(folder.config)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return _seconds(folder)


def _watched(root: Path, num_steps: int) -> tuple[float, list[float]]:
    """-> seconds a step, and those of each tick of all pages."""
    folder, ticks = _run(root, num_steps), list[float]()
    over = threading.Event()
    with _app(root) as address:
        page = Page(address)
        page.press("runs", f"continue:{folder.name}")
        pages = [threading.Thread(target=page.watch, args=(over, ticks)) for _ in range(NUM_TABS)]
        for one in pages:
            one.start()
        try:
            _wait(folder)
        finally:
            over.set()
            for one in pages:
                one.join()
    return _seconds(folder), ticks


def _wait(folder: RunFolder) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        time.sleep(1)
        if folder.events.is_file() and RunFinished.__name__.encode() in folder.events.read_bytes()[-1000:]:
            return
    raise TimeoutError(f"The run did not end in {PATIENCE_SECONDS} s.")


@contextmanager
def _app(root: Path) -> Iterator[str]:
    """The app, and its address."""
    command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--root", str(root)]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert app.stdout is not None
        yield next(line.split()[1] for line in app.stdout if line.startswith("FluxTuner: http"))
    finally:
        app.terminate()
        app.wait()


@dataclass(frozen=True)
class Event:
    """One of the page's, as its configuration describes it; `every` are the seconds of a timer."""

    number: int
    num_inputs: int
    every: float = 0.0


class Page:
    """A browser tab without a browser: it asks what the page's timers ask, as often."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.config = json.loads(self._answer("/config"))
        self.parts = {one["id"]: one for one in self.config["components"]}

    def press(self, part: str, word: str) -> None:
        """A button inside a part of the page."""
        (number,) = [one["id"] for one in self.parts.values() if one["props"].get("elem_id") == part]
        event = next(one for one in self.config["dependencies"] if [number, "click"] in one["targets"])
        said = {"data": [], "event_data": {"act": word}, "fn_index": event["id"], "session_hash": "measured"}
        self._answer("/gradio_api/queue/join", {**said, "trigger_id": number})

    def timers(self) -> list[Event]:
        found = []
        for one in self.config["dependencies"]:
            for number, what in one["targets"]:
                if what == "tick":
                    every = self.parts[number]["props"]["value"]
                    found.append(Event(one["id"], len(one["inputs"]), every))
        return found

    def watch(self, over: threading.Event, ticks: list[float]) -> None:
        """Until it is over; each tick tells what the one before was told, as a page does."""
        due = [(0.0, event) for event in self.timers()]
        seen: dict[int, Any] = {}
        while not over.wait(0.05):
            for place, (at, event) in enumerate(due):
                now = time.monotonic()
                if now < at:
                    continue
                due[place] = (now + event.every, event)
                data = [seen.get(event.number, ""), *[None] * (event.num_inputs - 1)]
                answer = self._answer("/gradio_api/run/predict", {"data": data, "fn_index": event.number})
                ticks.append(time.monotonic() - now)
                told = json.loads(answer)["data"][0]
                if isinstance(told, str):
                    seen[event.number] = told

    def _answer(self, path: str, said: dict[str, Any] | None = None) -> bytes:
        headers = {"Origin": self.address, "Content-Type": "application/json"}
        body = None if said is None else json.dumps(said).encode()
        asked = urllib.request.Request(self.address + path, body, headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return bytes(answer.read())
