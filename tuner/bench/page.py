"""How long the page takes to come up, against the import of gradio alone, in CPU seconds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tuner.bench.shared import Asked, about

ROOT = Path(__file__).resolve().parents[2]


def page(asked: Asked) -> dict[str, Any]:
    """From `python app.py` to a page that is served, against `import gradio` alone, in CPU seconds."""
    pairs = [(_import_gradio(), _serve_page()) for _ in range(asked.rounds)]
    ratios = [round(served / imported, 4) for imported, served in pairs]
    return {
        **about("page", {"num_rounds": asked.rounds}),
        "import_gradio_cpu_seconds": round(statistics.median(imported for imported, _ in pairs), 3),
        "served_page_cpu_seconds": round(statistics.median(served for _, served in pairs), 3),
        "start_ratios": ratios,
        "start_ratio": statistics.median(ratios),
    }


def _import_gradio() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _serve_page() -> float:
    """Waits for the address that the app prints, and for the page behind it."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--root", root]
        app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert app.stdout is not None
            address = next(line.split()[1] for line in app.stdout if line.startswith("FluxTuner: http"))
            with urllib.request.urlopen(address) as answer:
                answer.read()
            spent = psutil.Process(app.pid).cpu_times()
        finally:
            app.terminate()
            app.wait()
    return float(spent.user + spent.system)
