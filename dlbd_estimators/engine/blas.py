"""One BLAS thread while a pass runs.

Passes are parallel over blocks. The bits of their results must not depend on the number of
threads that share one matrix product.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cache
from types import TracebackType

import scipy.linalg  # noqa: F401  (scipy loads its own BLAS, which must be limited too)
from threadpoolctl import LibController, ThreadpoolController


@cache
def _libraries() -> tuple[LibController, ...]:
    """Return the controllers of the BLAS libraries of this process."""
    found = ThreadpoolController().lib_controllers
    return tuple(library for library in found if library.user_api == "blas")


def _take_control() -> None:
    """Allow the calling thread to set limits, whichever thread has set them before.

    In threadpoolctl 3.8 only the first thread that ever set a limit can set another one. It
    silently ignores all other threads. But tasks run on any thread of a pool.
    """
    for library in _libraries():
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)


def thread_count() -> int:
    """Return how many threads BLAS would use in this process.

    Users limit it by OMP_NUM_THREADS or threadpoolctl; joblib limits it in its workers.
    """
    return max((int(library.num_threads) for library in _libraries()), default=1)


def _limit(counts: Iterable[int]) -> None:
    """Set the number of threads of each library."""
    # The limits of threadpoolctl itself list all properties of all libraries first, which takes
    # longer than a pass over a small block.
    _take_control()
    for library, count in zip(_libraries(), counts, strict=True):
        library.set_num_threads(count)


class SingleThreadedBlas:
    """Limits BLAS to one thread in this process while at least one thread is in the context.

    The limit applies to the whole process, so all threads in the context share it. The first
    thread that enters sets the limit, and the last one that leaves restores the earlier limits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = [library.num_threads for library in _libraries()]
                _limit([1] * len(self._before))
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
                _limit(self._before)
                _take_control()  # from now on, any other thread may set limits


single_threaded_blas = SingleThreadedBlas()
