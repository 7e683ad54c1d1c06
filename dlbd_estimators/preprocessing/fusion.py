"""Statistics that one step of a pipeline finds, for the fit of the next.

A transformer that knows the statistics of its input and maps columns in closed form knows those of
its output, and the next transformer need not read the data to find them. They hold as long as the
data behind the collection do not change, which nobody can see. So they are used where no time
passes: from ``fit`` to ``transform`` of one ``fit_transform``, and from one step to the next while
scikit-learn fits one ``Pipeline``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import dask.array as da

if TYPE_CHECKING:  # the statistics' own module imports that of lazy transformers, which uses this
    from dlbd_estimators.preprocessing.statistics import ColumnStatistics

_KNOWN = "_dlbd_known"
_INPUT = "_dlbd_input_statistics"


def remember(output: Any, statistics: ColumnStatistics) -> None:
    """Attach the statistics of a step's output to it, while a pipeline is being fitted."""
    pipeline = _running_pipeline()
    if pipeline is not None:
        setattr(output, _KNOWN, (pipeline, _name(output), statistics))


def known(collection: Any) -> ColumnStatistics | None:
    """Return what the step before in the same fit of a pipeline knew: enough to spare a pass."""
    pipeline, name, statistics = getattr(collection, "__dict__", {}).get(_KNOWN) or (None,) * 3
    # `X[0] = 1` gives a Dask array another graph in place, and with it another name.
    if pipeline is None or pipeline != _running_pipeline() or name != _name(collection):
        return None
    return statistics


@contextmanager
def input_statistics(transformer: Any) -> Iterator[None]:
    """Let ``fit`` leave the statistics of its input for the ``transform`` that follows at once."""
    setattr(transformer, _INPUT, None)
    try:
        yield
    finally:
        delattr(transformer, _INPUT)


def see(transformer: Any, statistics: ColumnStatistics) -> None:
    """Keep what ``fit`` found in its input, if ``transform`` of the same input follows at once."""
    if hasattr(transformer, _INPUT):
        setattr(transformer, _INPUT, statistics)


def seen(transformer: Any) -> ColumnStatistics | None:
    """Return what ``fit`` has found in the input of this ``transform``."""
    return getattr(transformer, _INPUT, None)


def _running_pipeline() -> int | None:
    """Name the call in which scikit-learn is fitting the steps of a pipeline on this thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_fit" and frame.f_globals["__name__"] == "sklearn.pipeline":
            return id(frame)
        frame = frame.f_back
    return None


def _name(collection: Any) -> str:
    return str(collection.name if isinstance(collection, da.Array) else collection._name)
