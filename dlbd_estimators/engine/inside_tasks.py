"""Fits inside tasks: their waiting must not keep a worker's threads from the tasks waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import rejoin, secede
from distributed.worker import thread_state


@contextmanager
def away_from_the_pool() -> Iterator[None]:
    """In a task, leave its thread to others while this one waits for them.

    As Dask's own ``compute`` does: fits in as many tasks as there are threads would wait for
    ever for the tasks that they have sent out.
    """
    away = False
    if getattr(thread_state, "key", None):
        try:
            secede()
            away = True
        except (AttributeError, KeyError, ValueError):
            away = False  # this thread has left before
    try:
        yield
    finally:
        if away:
            rejoin()
