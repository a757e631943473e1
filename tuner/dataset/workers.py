"""Work on many files by processes of their own, so that the one that serves the page stays free."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from tuner.errors import Advice, OutOfRam

FEW_FILES, FEW_BYTES = 100, 32_000_000
"""Below both, processes would take longer to start than the work takes."""
MOST_WORKERS = 8
"""Each may hold a picture of 179 million pixels."""
_WAITING = 2
"""So many groups a worker are asked for ahead of the one that is taken: what is found shall not pile up."""
T = TypeVar("T")
R = TypeVar("R")


def are_few(files: Sequence[Path]) -> bool:
    """Whether they are not worth any processes."""
    return len(files) < FEW_FILES and sum(one.stat().st_size for one in files if one.is_file()) < FEW_BYTES


@contextmanager
def ahead(
    work: Callable[[T], R], items: Sequence[T], group: int = 1, here: bool = False
) -> Iterator[Iterator[R]]:
    """`work(item)` of each item, in order, made ahead of the one who takes them; a process is given `group`
    items at a time. By a thread of this one where it is to be `here`, or there is but one core or item.
    """
    num_workers = min(os.cpu_count() or 1, MOST_WORKERS, len(items))
    pool: Executor
    if here or num_workers < 2:
        pool, num_workers = ThreadPoolExecutor(1), 1
    else:
        # Spawned, not forked: the page's process has threads, and a worker shall know nothing of it.
        pool = ProcessPoolExecutor(num_workers, get_context("spawn"), _leave_ctrl_c_to_the_parent)
    try:
        groups = [items[start : start + group] for start in range(0, len(items), group)]
        yield chain.from_iterable(_in_order(pool, work, groups, _WAITING * num_workers))
    except BrokenProcessPool as error:
        raise OutOfRam(
            "A process that reads pictures was ended by the system, probably for want of memory.",
            Advice("Close other programs, and look again."),
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: Executor, work: Callable[[T], R], groups: Sequence[Sequence[T]], most: int
) -> Iterator[list[R]]:
    """Begins at once, not when the first is taken."""
    left = iter(groups)
    asked: deque[Future[list[R]]] = deque(pool.submit(_each, work, one) for one in islice(left, most))

    def results() -> Iterator[list[R]]:
        while asked:
            made = asked.popleft().result()
            asked.extend(pool.submit(_each, work, one) for one in islice(left, 1))
            yield made

    return results()


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(one) for one in items]


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
