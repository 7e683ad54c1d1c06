"""A few threads that share one small job, part by part, and wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

#: Waits until all threads of a team have come to the same place.
Wait = Callable[[], Any]


def in_lockstep(n_threads: int, work: Callable[[int, int, Wait], None]) -> None:
    """Call ``work(thread, n_threads, wait)`` on so many threads, the caller's among them.

    Every thread must call ``wait`` equally often. An error in one ends all, and is raised here.
    """
    if n_threads == 1:
        with np.errstate(all="ignore"):
            work(0, 1, lambda: None)
        return
    barrier = threading.Barrier(n_threads)
    failures: list[BaseException] = []

    def run(thread: int) -> None:
        try:
            # Not inherited: each thread starts with NumPy's defaults.
            with np.errstate(all="ignore"):
                work(thread, n_threads, barrier.wait)
        except threading.BrokenBarrierError:
            pass  # another thread failed, and raises the error
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(1, n_threads)]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
