"""Report how much of an operation is done, to functions that the user has chosen.

Operations name their stages with :func:`stage`. Whatever they compute inside a stage counts:
:mod:`storage.computing` adds one for each result that is ready.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from dask.callbacks import Callback

__all__ = ["Progress", "Stage", "current_stage", "listening", "stage"]

_LOGGER = logging.getLogger(__name__)
#: Seconds between two looks at the futures of a cluster.
_INTERVAL = 0.1


class Progress(NamedTuple):
    """How much of one stage of an operation is done.

    Parameters
    ----------
    stage : str
        What is done now: ``"compare"`` looks for duplicates, ``"count"`` reads all rows of a source
        or of blocks of unknown length, ``"shuffle"`` deals rows out, ``"write"`` writes blocks,
        ``"verify"`` reads chunks, ``"repair"`` writes chunks again, ``"resume"`` checks what a
        killed writing has left, ``"complete"`` copies the chunks of an append to their final names.
    done : int
        Number of tasks that are done. In the stage ``"write"`` a task is one block of one array, or
        of all arrays if one pass over raw rows writes them; in the stage ``"count"`` one part of
        the source, in the stage ``"compare"`` a share of the values.
    total : int
        Number of tasks of the stage, at least 1.

    Examples
    --------
    >>> import storage
    >>> now = storage.Progress(stage="write", done=3, total=12)
    >>> f"{now.stage}: {now.done / now.total:.0%}"
    'write: 25%'
    """

    stage: str
    done: int
    total: int


class _Listener:
    """Calls a function of the user until it raises an error."""

    def __init__(self, function: Callable[[Progress], None]) -> None:
        self._function: Callable[[Progress], None] | None = function

    def __call__(self, now: Progress) -> None:
        if self._function is None:
            return
        try:
            self._function(now)
        except Exception:
            # A display that breaks, for example in a terminal that was closed, must not stop an
            # ingest of hours.
            _LOGGER.exception("%r failed and is not called again", self._function)
            self._function = None


_LISTENERS: ContextVar[tuple[_Listener, ...]] = ContextVar("storage_listeners", default=())
_STAGE: ContextVar[Stage | None] = ContextVar("storage_stage", default=None)


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Call a function with the progress of all operations of `storage` in a ``with`` block.

    It is called when a stage begins and after each task that is done, in the thread that has
    called the operation, on threads and on a cluster alike. An operation has one stage or several:
    :func:`~storage.ingest` first counts, if that is needed, and then writes. Operations of other
    threads are not reported. Several listeners can be active at the same time.

    Parameters
    ----------
    listener : callable
        Function of one :class:`Progress`. If it raises an error, this is logged, and the operation
        goes on without the listener.

    Yields
    ------
    None
        The context has no value.

    Raises
    ------
    TypeError
        When `listener` cannot be called.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> def show(now):
    ...     print(f"{now.stage} {now.done}/{now.total}")
    >>> with tempfile.TemporaryDirectory() as folder, storage.listening(show):
    ...     data = storage.create_dataset(f"{folder}/d.zarr", np.eye(3), np.arange(3))
    write 0/2
    write 1/2
    write 2/2
    """
    if not callable(listener):
        raise TypeError(f"listener must be a function of one Progress, got {listener!r}")
    token = _LISTENERS.set((*_LISTENERS.get(), _Listener(listener)))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


class Stage:
    """One stage of an operation, which reports to the listeners.

    Parameters
    ----------
    name : str
        The name of the stage.
    total : int
        Number of its tasks.
    done : int
        Number of tasks that are done at the beginning.
    listeners : tuple of callable
        Functions of one :class:`Progress`.
    """

    def __init__(self, name: str, total: int, done: int, listeners: tuple[_Listener, ...]) -> None:
        self._name, self._total = name, total
        self._before = self._done = done
        self._listeners = listeners

    def begin(self) -> None:
        """Report how much is done at the beginning."""
        for listener in self._listeners:
            listener(Progress(self._name, self._done, self._total))

    def report(self, n_tasks: int) -> None:
        """Report the number of tasks that were done in this part; the progress never decreases."""
        done = min(self._before + n_tasks, self._total)
        if done > self._done:
            self._done = done
            for listener in self._listeners:
                listener(Progress(self._name, done, self._total))

    def begin_next_part(self) -> None:
        """Count the next tasks on top of those that are done."""
        self._before = self._done

    @contextmanager
    def counting(self, keys: Collection[Any]) -> Iterator[None]:
        """Report each of these tasks when a local scheduler has done it."""
        n_done = 0

        def count(key: Any, *_: Any) -> None:
            nonlocal n_done
            if key in keys:
                n_done += 1
                self.report(n_done)

        with Callback(posttask=count):
            yield
        # Dask computes a single block under another key.
        self.report(len(keys))

    def wait(self, futures: Collection[Any]) -> None:
        """Report the futures of a cluster that are done, until all of them are or one fails."""
        while True:
            states = [future.status for future in futures]
            self.report(states.count("finished"))
            if states.count("pending") == 0 or set(states) - {"finished", "pending"}:
                return
            time.sleep(_INTERVAL)


@contextmanager
def stage(name: str, total: int, done: int = 0) -> Iterator[Stage]:
    """Name what is computed in a ``with`` block, for the listeners that are active.

    All computations in the block count from `done`, unless :meth:`Stage.begin_next_part` says that
    the next one does other tasks.

    Parameters
    ----------
    name : str
        The name of the stage, a verb: see :class:`Progress`.
    total : int
        Number of its tasks. A stage without tasks is not reported.
    done : int, default=0
        Number of tasks that are done already.
    """
    listeners = _LISTENERS.get() if total else ()
    named = Stage(name, total, done, listeners)
    token = _STAGE.set(named if listeners else None)
    try:
        named.begin()
        yield named
    finally:
        _STAGE.reset(token)


def current_stage() -> Stage | None:
    """Return the stage of the calling thread if somebody listens to it, or None."""
    return _STAGE.get()
