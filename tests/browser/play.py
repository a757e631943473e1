"""`app.py` with the playing trainer behind the door, for the tests of the page that need no model."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app  # noqa: E402
from tests import player  # noqa: E402

if __name__ == "__main__":
    sys.modules["tuner.training.run"] = sys.modules["tuner.training.captioner"] = player
    sys.exit(app.main(sys.argv[1:]))
