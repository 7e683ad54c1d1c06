"""The same rows as every lazy form that transformers take, and chunks that tell they are read."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import zarr

ARRAYS = ["one", "many", "ragged", "rows", "columns", "empty", "unknown", "zarr"]
FORMS = [*ARRAYS, "frame"]


def lazy(form, X):
    """X (in memory, of two dimensions) in one of FORMS."""
    n, p = X.shape
    match form:
        case "one":
            return da.from_array(X, chunks=-1)
        case "many":
            return da.from_array(X, chunks=(17, p))
        case "ragged":
            return da.from_array(X, chunks=((1, n // 2, n - n // 2 - 1), p))
        case "rows":  # n chunks of one row
            return da.from_array(X, chunks=(1, p))
        case "columns":
            return da.from_array(X, chunks=(17, 1))
        case "empty":
            return da.from_array(X, chunks=((0, 20, 0, n - 21, 1, 0), p))
        case "unknown":  # some of its chunks become empty
            padded = da.from_array(np.vstack([X[:20], X]), chunks=(16, p))
            return padded[da.arange(n + 20, chunks=16) >= 20]
        case "frame":
            return dd.from_pandas(pd.DataFrame(X, columns=names(p)), npartitions=4)
        case "zarr":
            stored = zarr.create_array({}, shape=X.shape, chunks=(16, p), dtype=X.dtype)
            stored[:] = X
            return stored
    raise AssertionError(form)


def names(p):
    return [f"feature {i}" for i in range(p)]


def counted(X, rows, loads):
    """X as a Dask array whose chunks append their number to the list when they are loaded."""

    def load(block_info):
        (start, stop), _ = block_info[None]["array-location"]
        loads.append(start // rows)
        return X[start:stop].copy()

    n = len(X)
    chunks = (tuple(min(rows, n - start) for start in range(0, n, rows)), (X.shape[1],))
    return da.map_blocks(load, chunks=chunks, dtype=X.dtype, meta=X[:0])


def unreadable(n=100, p=3, dtype=np.float64):
    """A Dask array whose chunks must not be loaded."""

    def load():
        raise AssertionError("a chunk was loaded")

    chunks = ((n // 2, n - n // 2), (p,))
    return da.map_blocks(load, chunks=chunks, dtype=dtype, meta=np.empty((0, p), dtype))
