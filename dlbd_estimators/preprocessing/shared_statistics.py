"""Pass statistics that one step of a pipeline has found to the fit of the next step.

If a transformer knows the statistics of its input and maps columns in closed form, it can compute
the statistics of its output. The next transformer then need not read the data. The statistics are
valid only while the data behind the collection do not change, which cannot be checked. So they are
passed only within one call: from ``fit`` to ``transform`` of one ``fit_transform``, and from one
step to the next while one ``Pipeline`` is fitted, by scikit-learn or by a ``ColumnTransformer``.
Nothing is stored in the user's objects.
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

from dlbd_estimators.preprocessing.categories import FoundCategories
from dlbd_estimators.preprocessing.statistics import ColumnStatistics


@dataclass(frozen=True)
class Known:
    """What is known about the columns of a collection before it is read.

    Attributes
    ----------
    statistics : ColumnStatistics or None
        Statistics for scalers and the imputer; None if they are not known.
    categories : FoundCategories or None
        Distinct values and their counts, for encoders; None if they are not known.
    """

    statistics: ColumnStatistics | None = None
    categories: FoundCategories | None = None


NOTHING = Known()


class _Fits:
    """What is known about collections, for each running fit of a pipeline.

    scikit-learn creates an object for each such fit, the task of its callbacks, and deletes it
    when the fit ends. The entries of that fit then disappear, so that no later fit can use them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: For each fit and each name of a collection: the collection, and what is known about it.
        self._known: WeakKeyDictionary[Any, dict[str, tuple[ref[Any], Known]]]
        self._known = WeakKeyDictionary()

    def remember(self, fit: Any, collection: Any, known: Known) -> None:
        with self._lock:
            self._known.setdefault(fit, {})[_name(collection)] = (ref(collection), known)

    def known(self, fit: Any, collection: Any) -> Known:
        # `X[0] = 1` changes a Dask array in place, but gives it another name: it is not found.
        with self._lock:
            found = self._known.get(fit, {}).get(_name(collection))
        return found[1] if found is not None and found[0]() is collection else NOTHING


class PipelineFit:
    """Key for a fit of a pipeline that does not run in scikit-learn's ``Pipeline.fit``."""

    def known(self, collection: Any) -> Known:
        """Return what the previous step knows about its output `collection`."""
        return _fits.known(self, collection)


class _Input:
    """What the ``fit`` of a running ``fit_transform`` has found in its input.

    Parameters
    ----------
    transformer : transformer
        The transformer that is fitted.
    fit : PipelineFit or None
        The fit of the pipeline that the transformer is a step of; None means that scikit-learn
        runs the pipeline, if there is one.
    """

    def __init__(self, transformer: Any, fit: PipelineFit | None) -> None:
        self.transformer = transformer
        self.fit = fit
        self.known = NOTHING


_fits = _Fits()
_input: ContextVar[_Input | None] = ContextVar("dlbd_estimators_input", default=None)


def record_output(transformer: Any, output: Any, known: Known) -> None:
    """Store what is known about a step's output until the fit of its pipeline ends."""
    fit = _running_fit(transformer)
    if fit is not None:
        _fits.remember(fit, output, known)


def recorded_for(transformer: Any, collection: Any) -> Known:
    """Return what the previous step of the same pipeline fit knows about `collection`."""
    fit = _running_fit(transformer)
    return NOTHING if fit is None else _fits.known(fit, collection)


@contextmanager
def input_statistics(transformer: Any, fit: PipelineFit | None = None) -> Iterator[None]:
    """Let ``fit`` pass the statistics of its input to the ``transform`` that follows."""
    token = _input.set(_Input(transformer, fit))
    try:
        yield
    finally:
        _input.reset(token)


def record_input(transformer: Any, known: Known) -> None:
    """Store what ``fit`` found in its input, if ``transform`` of the same input follows."""
    found = _input.get()
    if found is not None and found.transformer is transformer:
        found.known = known


def recorded_input(transformer: Any) -> Known:
    """Return what ``fit`` found in the input of this ``transform``."""
    found = _input.get()
    return found.known if found is not None and found.transformer is transformer else NOTHING


def _running_fit(transformer: Any) -> Any:
    """Return the running pipeline fit that this step belongs to; None if there is none.

    If scikit-learn runs the pipeline, it is the task of the pipeline's callbacks.
    """
    found = _input.get()
    if found is not None and found.transformer is transformer and found.fit is not None:
        return found.fit
    step = getattr(transformer, "_parent_callback_ctx", None)
    return getattr(step, "parent", None)


def _name(collection: Any) -> str:
    """Return the name of a Dask collection, which identifies its content; "None" for others."""
    name = collection.name if isinstance(collection, da.Array) else None
    return str(getattr(collection, "_name", None) if name is None else name)
