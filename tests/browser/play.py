"""`app.py` with the playing trainer behind the door, for the tests of the page that need no model."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app  # noqa: E402
from tests import player  # noqa: E402
from tuner.dataset import facts  # noqa: E402

LOOK_SECONDS = float(os.environ.get("PLAYER_LOOK_SECONDS", "0"))
"""For each picture of a large folder, as if it were a large one on a slow disk."""


@contextmanager
def slowly(work, items, group):
    def one(item):
        time.sleep(LOOK_SECONDS)
        return work(item)

    yield map(one, items)


if __name__ == "__main__":
    sys.modules["tuner.training.run"] = sys.modules["tuner.training.captioner"] = player
    if LOOK_SECONDS:
        facts.ahead = slowly
    sys.exit(app.main(sys.argv[1:]))
