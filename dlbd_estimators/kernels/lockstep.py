"""Runs one function on a few threads that wait for each other between its steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

#: A function that waits until all threads have called it.
Wait = Callable[[], Any]


def in_lockstep(n_threads: int, work: Callable[[int, int, Wait], None]) -> None:
    """Call ``work(thread, n_threads, wait)`` on ``n_threads`` threads, including the caller's.

    Every thread must call ``wait`` the same number of times. An error in one thread ends all of
    them, and is raised here.
    """
    if n_threads == 1:
        with np.errstate(all="ignore"):
            work(0, 1, lambda: None)
        return
    barrier = threading.Barrier(n_threads)
    failures: list[BaseException] = []

    def run(thread: int) -> None:
        try:
            # Each thread starts with NumPy's default error handling, not with the caller's.
            with np.errstate(all="ignore"):
                work(thread, n_threads, barrier.wait)
        except threading.BrokenBarrierError:
            pass  # another thread failed, and its error is raised below
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
