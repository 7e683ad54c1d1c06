"""What is known of the columns of a lazy collection, kept on the object itself.

A transformer that knows the statistics of its input and maps columns in closed form knows
those of its output, and the next transformer need not read the data to find them. The
knowledge lives and dies with one object: every operation on it makes another, without it.
"""

from __future__ import annotations

from typing import Any

import dask.array as da

from dlbd_estimators._validation import is_zarr
from dlbd_estimators.preprocessing.statistics import ColumnStatistics

_KNOWN = "_dlbd_known"
_SEEN = "_dlbd_seen"


def remember(collection: Any, statistics: ColumnStatistics) -> None:
    """Attach the statistics of a transformer's output to it, for the fit that comes next."""
    _attach(collection, _KNOWN, statistics)


def known(collection: Any) -> ColumnStatistics | None:
    """Return what a transformer knew of its output: enough to spare a pass."""
    return _attached(collection, _KNOWN)


def see(collection: Any, statistics: ColumnStatistics) -> None:
    """Attach what ``fit`` found in its input, for ``transform`` of the same object.

    Another ``fit`` makes its own pass all the same: what lies behind the user's own
    collection (a file, an array in memory) may have changed since.
    """
    _attach(collection, _SEEN, statistics)


def seen(collection: Any) -> ColumnStatistics | None:
    """Return what is known of the input of ``transform``, by either way."""
    statistics = known(collection)
    return _attached(collection, _SEEN) if statistics is None else statistics


def _attach(collection: Any, attribute: str, statistics: ColumnStatistics) -> None:
    if not is_zarr(collection):  # the array in Dask that is opened from it is what counts
        setattr(collection, attribute, (_name(collection), statistics))


def _attached(collection: Any, attribute: str) -> ColumnStatistics | None:
    # `X[0] = 1` gives a Dask array another graph in place, and with it another name.
    found = None if is_zarr(collection) else vars(collection).get(attribute)
    return found[1] if found and found[0] == _name(collection) else None


def _name(collection: Any) -> str:
    return str(collection.name if isinstance(collection, da.Array) else collection._name)
