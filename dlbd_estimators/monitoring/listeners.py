"""The listeners to all fits of this process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.monitoring.events import Listener

_listeners: dict[object, Listener] = {}
_lock = threading.Lock()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a function with every event of the fits that begin inside this context.

    The function receives the events of all fits of this process, in whatever thread they run.

    Parameters
    ----------
    listener : callable
        Takes an event, which is a dictionary: see :mod:`dlbd_estimators.monitoring.events`. It is
        called between the steps of a fit, in the thread of the fit, and should be quick. If it
        raises an error, this is logged, and the fit goes on without the listener.

    Yields
    ------
    None
        The context has no value.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import Ridge
    >>> from dlbd_estimators.monitoring import listening
    >>> X = np.arange(6.0).reshape(-1, 1)
    >>> with listening(lambda event: print(event["event"])):
    ...     model = Ridge().fit(X, X[:, 0])
    fit_started
    step
    fit_ended
    """
    # A unique key, so that a listener can be added twice, or beside one that compares equal.
    key = object()
    with _lock:
        _listeners[key] = listener
    try:
        yield
    finally:
        with _lock:
            del _listeners[key]


def listeners_of(executor: Executor) -> list[Listener]:
    """Return the listeners of a fit that begins now and runs on ``executor``."""
    with _lock:
        listeners = list(_listeners.values())
    if "distributed" in sys.modules:  # if it is not imported, no fit runs on a cluster
        from dlbd_estimators.monitoring.cluster import cluster_listener

        on_cluster = cluster_listener(executor)
        if on_cluster is not None:
            listeners.append(on_cluster)
    return listeners
