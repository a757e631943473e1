"""`python -m tuner`: see `tuner.cli`."""

from __future__ import annotations

import signal
import sys

from tuner.cli import main

if __name__ == "__main__":
    # A system that shuts down or a job that is ended stops a run as Ctrl-C does: with a checkpoint.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
