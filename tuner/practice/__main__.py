"""Makes the practice model and its pictures again from nothing: `python -m tuner.practice --out FOLDER`."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from tuner.practice.pictures import write_practice_pictures
from tuner.practice.train import Amounts, build


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tuner.practice", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="gets model/ (the pipeline) and pictures/")
    parser.add_argument("--work", type=Path, help="keeps the stages, so that an interrupted build goes on")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the full amount of training, for a quick look"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    amounts = Amounts().shortened(arguments.share) if arguments.share < 1 else Amounts()
    with tempfile.TemporaryDirectory() as scratch:
        build(arguments.work or Path(scratch), arguments.out / "model", amounts)
    write_practice_pictures(arguments.out / "pictures")


if __name__ == "__main__":
    main()
