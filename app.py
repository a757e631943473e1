"""Opens FluxTuner in the browser: arguments, logging, the page, and an end that saves a checkpoint first."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import time
import webbrowser
from pathlib import Path

from tuner.errors import explain

HOST = "127.0.0.1"
HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    if options.machine:
        _stand_in(options.machine, parser)
    os.chdir(HERE)
    say("FluxTuner is opening ...")
    if options.port and _taken(options.port):
        say(f"Port {options.port} is taken. Perhaps FluxTuner is open already: http://{HOST}:{options.port}")
        say(f"Or choose another one: python app.py --port {options.port + 1}")
        return 1
    os.environ["GRADIO_TEMP_DIR"] = str(root / ".tmp" / "gradio")
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)  # on the handler: a run lets more through, for its own log
    logging.basicConfig(handlers=[console], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _open(root, options.port, not options.no_browser)
    except KeyboardInterrupt:
        say("FluxTuner is closed.")
    except ModuleNotFoundError as error:
        say(str(explain(error)))
        return 1
    return 0


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _stand_in(file: Path, parser: argparse.ArgumentParser) -> None:
    """This computer seems to be the one that the file describes."""
    from tuner import machine

    try:
        machine.stand_in(file)
    except (OSError, ValueError) as error:
        parser.error(f"--machine: {error}")


def _open(root: Path, port: int | None, browser: bool) -> None:
    """Serves the page until Ctrl+C. Nothing looks for waste during the imports: what they make stays."""
    gc.disable()
    from tuner.session import Session
    from tuner.ui import layout

    session = Session(root)
    address = layout.serve(session, port)
    gc.freeze()
    gc.enable()
    say(f"FluxTuner: {address}")
    say("Close it with Ctrl+C; a run that is going on is saved first.")
    if browser:
        webbrowser.open(address)
    try:
        while True:
            time.sleep(3600)
    finally:
        if session.running:
            say(f"Saving the run '{session.view.run}' ...")
        session.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description="Opens FluxTuner in the browser.")
    parser.add_argument("--port", type=int, help="port of the page (default: the first free one from 7860)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--root",
        type=Path,
        default=HERE,
        metavar="FOLDER",
        help="where the folder runs lies (default: beside app.py)",
    )
    parser.add_argument(
        "--machine",
        type=Path,
        metavar="FILE",
        help="a JSON file that describes another computer, to see what the page would say there: "
        '{"vram_total_gb": 24, "vram_used_gb": 0.5, "ram_total_gb": 32, "gpu_name": "RTX 3090"}',
    )
    return parser


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the console is where this program speaks


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
