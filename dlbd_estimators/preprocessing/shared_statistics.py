"""Statistics that one step of a pipeline finds, for the fit of the next.

A transformer that knows the statistics of its input and maps columns in closed form knows those of
its output, and the next transformer need not read the data to find them. They hold as long as the
data behind the collection do not change, which nobody can see. So they are used where no time
passes: from ``fit`` to ``transform`` of one ``fit_transform``, and from one step to the next while
scikit-learn fits one ``Pipeline``. Nothing is kept in objects of the user's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, ref

import dask.array as da

from dlbd_estimators.preprocessing.statistics import ColumnStatistics


class _Fits:
    """What is known of collections in each fit of a pipeline that runs.

    scikit-learn gives each such fit an object of its own, its callbacks' task, which is gone when
    the fit is over: what was kept for it is gone with it, and no later fit can be taken for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By fit, and by the name of a collection: it, and its statistics.
        self._known: WeakKeyDictionary[Any, dict[str, tuple[ref[Any], ColumnStatistics]]]
        self._known = WeakKeyDictionary()

    def remember(self, fit: Any, collection: Any, statistics: ColumnStatistics) -> None:
        with self._lock:
            self._known.setdefault(fit, {})[_name(collection)] = (ref(collection), statistics)

    def known(self, fit: Any, collection: Any) -> ColumnStatistics | None:
        # `X[0] = 1` gives a Dask array another graph in place, and with it another name.
        with self._lock:
            found = self._known.get(fit, {}).get(_name(collection))
        return found[1] if found is not None and found[0]() is collection else None


class _Input:
    """The statistics of the input of a ``fit_transform`` that runs, once its ``fit`` has them."""

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer
        self.statistics: ColumnStatistics | None = None


_fits = _Fits()
_input: ContextVar[_Input | None] = ContextVar("dlbd_estimators_input", default=None)


def record_output(transformer: Any, output: Any, statistics: ColumnStatistics) -> None:
    """Keep the statistics of a step's output, while its pipeline is being fitted."""
    fit = _running_fit(transformer)
    if fit is not None:
        _fits.remember(fit, output, statistics)


def recorded_for(transformer: Any, collection: Any) -> ColumnStatistics | None:
    """Return what the step before in the same fit of a pipeline knew: enough to spare a pass."""
    fit = _running_fit(transformer)
    return None if fit is None else _fits.known(fit, collection)


@contextmanager
def input_statistics(transformer: Any) -> Iterator[None]:
    """Let ``fit`` leave the statistics of its input for the ``transform`` that follows at once."""
    token = _input.set(_Input(transformer))
    try:
        yield
    finally:
        _input.reset(token)


def record_input(transformer: Any, statistics: ColumnStatistics) -> None:
    """Keep what ``fit`` found in its input, if ``transform`` of the same input follows at once."""
    found = _input.get()
    if found is not None and found.transformer is transformer:
        found.statistics = statistics


def recorded_input(transformer: Any) -> ColumnStatistics | None:
    """Return what ``fit`` has found in the input of this ``transform``."""
    found = _input.get()
    return found.statistics if found is not None and found.transformer is transformer else None


def _running_fit(transformer: Any) -> Any:
    """Return the task of the fit in which scikit-learn is fitting this step, if it is in one."""
    step = getattr(transformer, "_parent_callback_ctx", None)
    return getattr(step, "parent", None)


def _name(collection: Any) -> str:
    """Return the name of a Dask collection; what else there is has none that tells."""
    name = collection.name if isinstance(collection, da.Array) else None
    return str(getattr(collection, "_name", None) if name is None else name)
