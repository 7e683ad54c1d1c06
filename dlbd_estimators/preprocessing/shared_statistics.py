"""Statistics that one step of a pipeline finds, for the fit of the next.

A transformer that knows the statistics of its input and maps columns in closed form knows those of
its output, and the next transformer need not read the data to find them. They hold as long as the
data behind the collection do not change, which nobody can see. So they are used where no time
passes: from ``fit`` to ``transform`` of one ``fit_transform``, and from one step to the next while
one ``Pipeline`` is fitted, by scikit-learn or by a ``ColumnTransformer``. Nothing is kept in
objects of the user's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import dask.array as da

from dlbd_estimators.preprocessing.categories import Found
from dlbd_estimators.preprocessing.statistics import ColumnStatistics


@dataclass(frozen=True)
class Known:
    """What is known of the columns of a collection before it is read.

    Attributes
    ----------
    statistics : ColumnStatistics or None
        What scalers and the imputer need.
    categories : Found or None
        What encoders need.
    """

    statistics: ColumnStatistics | None = None
    categories: Found | None = None


NOTHING = Known()


class _Fits:
    """What is known of collections in each fit of a pipeline that runs.

    scikit-learn gives each such fit an object of its own, its callbacks' task, which is gone when
    the fit is over: what was kept for it is gone with it, and no later fit can be taken for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By fit, and by the name of a collection: it, and its statistics.
        self._known: WeakKeyDictionary[Any, dict[str, tuple[ref[Any], Known]]]
        self._known = WeakKeyDictionary()

    def remember(self, fit: Any, collection: Any, known: Known) -> None:
        with self._lock:
            self._known.setdefault(fit, {})[_name(collection)] = (ref(collection), known)

    def known(self, fit: Any, collection: Any) -> Known:
        # `X[0] = 1` gives a Dask array another graph in place, and with it another name.
        with self._lock:
            found = self._known.get(fit, {}).get(_name(collection))
        return found[1] if found is not None and found[0]() is collection else NOTHING


class PipelineFit:
    """A fit of a pipeline that does not run in scikit-learn's: knows what its steps have found."""

    def known(self, collection: Any) -> Known:
        """Return what the step before knew."""
        return _fits.known(self, collection)


class _Input:
    """What is known of the input of a ``fit_transform`` that runs, once its ``fit`` has found it.

    Parameters
    ----------
    transformer : transformer
        That is fitted.
    fit : PipelineFit or None
        Of the pipeline that it is a step of; None asks scikit-learn.
    """

    def __init__(self, transformer: Any, fit: PipelineFit | None) -> None:
        self.transformer = transformer
        self.fit = fit
        self.known = NOTHING


_fits = _Fits()
_input: ContextVar[_Input | None] = ContextVar("dlbd_estimators_input", default=None)


def record_output(transformer: Any, output: Any, known: Known) -> None:
    """Keep what is known of a step's output, while its pipeline is being fitted."""
    fit = _running_fit(transformer)
    if fit is not None:
        _fits.remember(fit, output, known)


def recorded_for(transformer: Any, collection: Any) -> Known:
    """Return what the step before in the same fit of a pipeline knew: enough to spare a pass."""
    fit = _running_fit(transformer)
    return NOTHING if fit is None else _fits.known(fit, collection)


@contextmanager
def input_statistics(transformer: Any, fit: PipelineFit | None = None) -> Iterator[None]:
    """Let ``fit`` leave the statistics of its input for the ``transform`` that follows at once."""
    token = _input.set(_Input(transformer, fit))
    try:
        yield
    finally:
        _input.reset(token)


def record_input(transformer: Any, known: Known) -> None:
    """Keep what ``fit`` found in its input, if ``transform`` of the same input follows at once."""
    found = _input.get()
    if found is not None and found.transformer is transformer:
        found.known = known


def recorded_input(transformer: Any) -> Known:
    """Return what ``fit`` has found in the input of this ``transform``."""
    found = _input.get()
    return found.known if found is not None and found.transformer is transformer else NOTHING


def _running_fit(transformer: Any) -> Any:
    """Return the fit of a pipeline in which this step is being fitted, if it is in one.

    Of scikit-learn's it is the task of its callbacks.
    """
    found = _input.get()
    if found is not None and found.transformer is transformer and found.fit is not None:
        return found.fit
    step = getattr(transformer, "_parent_callback_ctx", None)
    return getattr(step, "parent", None)


def _name(collection: Any) -> str:
    """Return the name of a Dask collection; what else there is has none that tells."""
    name = collection.name if isinstance(collection, da.Array) else None
    return str(getattr(collection, "_name", None) if name is None else name)
