"""Convert blocks to the byte order of this machine."""

from __future__ import annotations

import dask.array as da


def in_native_order(X: da.Array) -> da.Array:
    """Convert numbers and strings in the byte order of other machines, block by block.

    Estimators would read float32 of another byte order as float64, and keep it in ``classes_``.
    """
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))
