"""Hypothesis strategies for stored arrays."""

from __future__ import annotations

from itertools import pairwise

import dask.array as da
import numpy as np
from hypothesis import strategies as st

SPECIAL = (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308)


@st.composite
def values(draw, shape, dtypes=("float32", "float64")):
    """Array of random bits, so that any value may occur: NaN payloads, denormals, -0.0."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    array = np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
    if draw(st.booleans()):
        # Compressible: few distinct values.
        array = array.ravel()[rng.integers(0, min(3, array.size), array.size)].reshape(shape)
    array = array.copy()
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            array.flat[:: draw(st.integers(1, 50))] = dtype.type(draw(st.sampled_from(SPECIAL)))
    return array


@st.composite
def chunks(draw, length, *, empty=True):
    """Sizes of Dask chunks that add up to `length`, some of them empty."""
    cuts = draw(st.lists(st.integers(0, length), max_size=6))
    edges = [0, *sorted(cuts if empty else set(cuts) - {0, length}), length]
    return tuple(stop - start for start, stop in pairwise(edges))


@st.composite
def as_input(draw, array):
    """The array itself, or a Dask array of it: ragged, misaligned, of unknown chunk lengths."""
    kind = draw(st.sampled_from(["numpy", "dask", "unknown"]))
    if kind == "numpy":
        return array
    rows = draw(chunks(len(array)))
    rest = tuple(draw(chunks(size, empty=False)) for size in array.shape[1:])
    lazy = da.from_array(array, chunks=(rows, *rest))
    if kind == "unknown":
        unknown = ((np.nan,) * len(rows), *rest)
        lazy = da.Array(lazy.dask, lazy.name, chunks=unknown, dtype=array.dtype)
    return lazy


def as_weights(array):
    """Finite numbers, none below 0, of the same bits otherwise."""
    return np.where(np.isfinite(array), np.abs(array), array.dtype.type(1))


@st.composite
def datasets(draw, max_rows=300, max_features=12):
    """X, y and maybe weights, in memory."""
    n = draw(st.integers(1, max_rows))
    p = draw(st.integers(1, max_features))
    outputs = draw(st.sampled_from([(), (1,), (3,)]))
    numbers = ("float16", "float32", "float64", "int64", "uint64", "int32", "uint8", "bool")
    weight = draw(st.none() | values((n,)).map(as_weights))
    return draw(values((n, p), numbers)), draw(values((n, *outputs), numbers)), weight
