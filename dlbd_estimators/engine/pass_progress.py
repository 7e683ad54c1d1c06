"""Tell functions of the caller how many blocks of a pass are done.

Nothing is counted unless somebody listens. On threads each block counts as soon as it is done, on a
cluster when the task of its bundle has ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from dlbd_estimators.engine.reduction_tree import Node

#: Takes the name of a pass, the number of its blocks that are done, and the number of all.
PassListener: TypeAlias = Callable[[str, int, int], None]

#: Seconds between two counts of the tasks of a cluster.
_INTERVAL = 0.1

_LOGGER = logging.getLogger(__name__)


class PassCounter:
    """Counts the blocks of one pass that are done; the number never decreases.

    Parameters
    ----------
    name : str
        Name of the pass.
    total : int
        Number of its blocks.
    listener : callable or None
        The function that is told; None counts nothing.
    """

    def __init__(self, name: str, total: int, listener: PassListener | None) -> None:
        self._name, self._total = name, total
        self._listener = listener
        self._lock = threading.Lock()
        self._done = 0
        self._looked_at = 0.0

    @property
    def listens(self) -> bool:
        """Whether somebody is told."""
        return self._listener is not None

    def begin(self) -> None:
        """Tell that no block is done."""
        with self._lock:
            self._tell(0)

    def add(self, n_blocks: int) -> None:
        """Count more blocks; any thread may call this."""
        with self._lock:
            self._tell(self._done + n_blocks)

    def look(self, *done: Collection[Node]) -> None:
        """Count the blocks of tasks that have ended, not at each call."""
        now = time.monotonic()
        if self._listener is None or now - self._looked_at < _INTERVAL:
            return
        self._looked_at = now
        n_blocks = sum(stop - start for nodes in done for start, stop in nodes)
        with self._lock:
            if n_blocks > self._done:
                self._tell(n_blocks)

    def end(self) -> None:
        """Tell that all blocks are done, if the listener does not know."""
        with self._lock:
            if self._done < self._total:
                self._tell(self._total)

    def _tell(self, done: int) -> None:
        self._done = done
        if self._listener is None:
            return
        try:
            self._listener(self._name, done, self._total)
        except Exception:
            # A display that breaks must not end a pass.
            _LOGGER.exception("%r failed and is not called again in this pass", self._listener)
            self._listener = None


_NOBODY = PassCounter("", 0, None)
_LISTENER: ContextVar[PassListener | None] = ContextVar("pass_listener", default=None)
_CURRENT: ContextVar[PassCounter] = ContextVar("pass_counter", default=_NOBODY)


@contextmanager
def listening_to_passes(listener: PassListener) -> Iterator[None]:
    """Call a function with the progress of all passes that this thread runs in a ``with`` block.

    Parameters
    ----------
    listener : callable
        It is called by one thread at a time, but not always by the same one.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def counted(name: str, total: int) -> Iterator[None]:
    """Count the blocks of the pass that runs in a ``with`` block, if somebody listens."""
    listener = _LISTENER.get()
    if listener is None:
        yield
        return
    counter = PassCounter(name, total, listener)
    token = _CURRENT.set(counter)
    try:
        counter.begin()
        yield
        counter.end()
    finally:
        _CURRENT.reset(token)


def current_pass() -> PassCounter:
    """Return the counter of the pass that this thread runs."""
    return _CURRENT.get()
