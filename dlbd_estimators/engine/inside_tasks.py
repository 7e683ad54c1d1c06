"""Fits inside tasks: a fit that waits for tasks must not occupy a thread that they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import rejoin, secede
from distributed.worker import thread_state


@contextmanager
def away_from_the_pool() -> Iterator[None]:
    """In a task, free its thread for other tasks while this one waits for them.

    Dask's own ``compute`` does the same. Otherwise fits in as many tasks as there are threads
    would wait for ever for the tasks that they have sent out.
    """
    away = False
    if getattr(thread_state, "key", None):
        try:
            secede()
            away = True
        except (AttributeError, KeyError, ValueError):
            away = False  # this thread left the pool before
    try:
        yield
    finally:
        if away:
            rejoin()
