"""One BLAS thread while a pass runs.

Passes are parallel over blocks. The bits of their results must not depend on the number of
threads that share one matrix product.
"""

from __future__ import annotations

import threading
from functools import cache
from types import TracebackType
from typing import Any

import scipy.linalg  # noqa: F401  (scipy loads its own BLAS, which must be limited too)
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _take_control() -> None:
    """Allow the calling thread to set limits, whichever thread has set them before.

    In threadpoolctl 3.8 only the first thread that ever set a limit can set another one. It
    silently ignores all other threads. But tasks run on any thread of a pool.
    """
    for library in _controller().lib_controllers:
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)


def thread_count() -> int:
    """Return how many threads BLAS would use in this process.

    Users limit it by OMP_NUM_THREADS or threadpoolctl; joblib limits it in its workers.
    """
    counts = [
        int(library.num_threads)
        for library in _controller().lib_controllers
        if library.user_api == "blas"
    ]
    return max(counts, default=1)


class SingleThreadedBlas:
    """Limits BLAS to one thread in this process while at least one thread is in the context.

    The limit applies to the whole process, so all threads in the context share it. The first
    thread that enters sets the limit, and the last one that leaves restores the earlier limits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                _take_control()
                self._limits = _controller().limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _take_control()
                self._limits.restore_original_limits()
                _take_control()


single_threaded_blas = SingleThreadedBlas()
