"""Fits inside tasks: a fit that waits for tasks must not occupy a thread that they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import rejoin, secede
from distributed.worker import thread_state


@contextmanager
def seceded() -> Iterator[None]:
    """Free the thread of the current Dask task, if there is one, while it waits for other tasks.

    Dask's own ``compute`` does the same. Otherwise, if all threads of the workers run fits, these
    fits would wait for ever: no thread is left for the tasks that they have sent out.
    """
    away = False
    if getattr(thread_state, "key", None):
        try:
            secede()
            away = True
        except (AttributeError, KeyError, ValueError):
            away = False  # this thread has left the pool earlier
    try:
        yield
    finally:
        if away:
            rejoin()
