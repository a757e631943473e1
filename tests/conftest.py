"""For all tests: one thread a process, so that toy-sized tensors do not wait for each other's cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
