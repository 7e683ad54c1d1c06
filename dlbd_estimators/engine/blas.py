"""One BLAS thread while a pass runs.

Passes are parallel over blocks, and their bits must not depend on how many threads a
product was cut into.
"""

from __future__ import annotations

import threading
from functools import cache
from types import TracebackType
from typing import Any

import scipy.linalg  # noqa: F401  (scipy loads a BLAS of its own: it is limited too)
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _take_control() -> None:
    """Let the calling thread set the limits, and then any other thread.

    In threadpoolctl 3.8 only the first thread that ever set a limit can set another one. It
    silently ignores all other threads. Tasks run on whatever thread is free.
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
    """Limits BLAS to one thread in this process while anyone is inside.

    The limit belongs to the process, so users in several threads share it: the first
    sets it and the last restores what was there.
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
