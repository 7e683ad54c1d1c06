"""Align the rows of several Dask arrays on the same chunks, and count unknown chunk lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.core import flatten
from dask.typing import Key
from numpy.typing import NDArray

from dlbd_estimators.blocks.graph import (
    Dependencies,
    Graph,
    dependencies_of,
    independent,
    is_of_shuffle,
    shuffled_separately,
)
from dlbd_estimators.blocks.shared_parts import sharing
from dlbd_estimators.exceptions import LengthMismatch


def align(arrays: Mapping[str, da.Array]) -> dict[str, da.Array]:
    """Rechunk arrays to the row chunks of the first, and to one chunk of columns.

    Parameters
    ----------
    arrays : mapping of str to dask.array.Array
        The arrays, by the name that messages show.

    Returns
    -------
    dict of str to dask.array.Array
        The aligned arrays, by name. Chunks of unknown (NaN) length stay unknown if all arrays have
        the same number of chunks.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows.
    ValueError
        The chunk lengths have to be counted first: see :func:`lengths_needed`.
    """
    if lengths_needed(list(arrays.values())):
        raise ValueError("Chunk lengths have to be counted before these rows can be matched.")
    aligned = {name: one_column_of_chunks(array) for name, array in arrays.items()}
    leader = next((each for each in aligned.values() if known(each)), None)
    if leader is None:
        return aligned
    lengths = [(name, int(each.shape[0])) for name, each in aligned.items() if known(each)]
    for name, length in lengths[1:]:
        if length != lengths[0][1]:
            raise LengthMismatch(
                f"Found input variables with inconsistent numbers of samples: {lengths[0][0]} has "
                f"{lengths[0][1]} rows but {name} has {length}."
            )
    if not known(aligned[next(iter(aligned))]):
        return aligned
    chunks = leader.chunks[0]
    return {
        name: each.rechunk({0: chunks}) if known(each) and each.chunks[0] != chunks else each
        for name, each in aligned.items()
    }


def rechunk_like(X: da.Array, name: str, values: Any, X_name: str = "X") -> da.Array:
    """Return values in memory as a Dask array with the row chunks of X, whose lengths are known.

    Raises
    ------
    LengthMismatch
        The number of values is not the number of rows of X.
    """
    array = np.asarray(values)
    if len(array) != X.shape[0]:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: {X_name} has "
            f"{X.shape[0]} rows but {name} has {len(array)}."
        )
    cut: da.Array = da.from_array(array, chunks=(X.chunks[0], *array.shape[1:]))
    return cut


def check_same_shuffle(collections: Sequence[Any]) -> None:
    """Refuse collections that were shuffled separately: their rows are in different orders.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame, Series or array-like
        Data frames as :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` returns them.

    Raises
    ------
    LengthMismatch
        The collections do not share a shuffle. The message explains what to do.
    """
    graph: Graph = {}
    columns: list[list[Key]] = []
    for each in collections:
        lazy = is_dask_collection(each)
        columns.append(list(flatten(each.__dask_keys__())) if lazy else [])
        graph.update(each.__dask_graph__() if lazy else {})
    if any(map(is_of_shuffle, graph)):
        check_order(graph, dependencies_of(graph, flatten(columns)), columns)


def check_order(graph: Graph, dependencies: Dependencies, keys: Sequence[Sequence[Key]]) -> None:
    """Refuse arrays that were shuffled separately, given their graph and their blocks' keys."""
    if shuffled_separately(graph, dependencies, keys):
        raise LengthMismatch(
            "The rows do not belong together: some of the arrays come from a shuffle (merge, "
            "set_index, sort_values, shuffle, ...), which changes the order of rows, and others "
            "do not come from the same shuffle. Pass columns of one Dask data frame directly, not "
            "their .values or arrays computed from them; or persist the data frame first."
        )


def share_source(*collections: Any) -> bool:
    """Return whether the i-th blocks of all collections are computed from common data.

    Parameters
    ----------
    *collections : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        All with the same number of blocks. Data frames as
        :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` returns them.
    """
    graph = {key: task for each in collections for key, task in dict(each.__dask_graph__()).items()}
    outputs = list(zip(*map(_first_keys, collections), strict=True))
    dependencies = dependencies_of(graph, [key for keys in outputs for key in keys])
    return not independent(dependencies, outputs, sharing(dependencies, outputs).shared)


def _first_keys(collection: Any) -> list[Key]:
    """Return the key of the first chunk of each block of rows."""
    keys: list[Any] = collection.__dask_keys__()
    return [next(flatten([each])) for each in keys]


def one_column_of_chunks(array: da.Array) -> da.Array:
    """Rechunk an array so that one chunk holds all columns of a block."""
    return array.rechunk({1: -1}) if array.ndim > 1 and array.numblocks[1] > 1 else array


def known(array: da.Array) -> bool:
    """Return whether Dask knows the lengths of an array's chunks."""
    return not np.isnan(array.shape[0])


def lengths_needed(arrays: Sequence[da.Array]) -> bool:
    """Return whether chunk lengths have to be counted before the rows of arrays can be matched.

    Arrays with the same number of chunks are assumed to have the same chunk lengths, which is
    checked when the blocks are read.
    """
    return len({each.numblocks[0] for each in arrays}) > 1 and not all(map(known, arrays))


def lengths_of(collection: Any) -> da.Array:
    """Return a Dask array of the number of rows of each block, with one chunk for each block.

    Parameters
    ----------
    collection : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        Data frames as :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` returns them.
    """
    meta = np.empty(0, dtype=np.int64)
    if not isinstance(collection, da.Array):
        lengths: da.Array = collection.map_partitions(_n_rows, meta=meta)
        return lengths
    n_axes = collection.ndim
    first = collection
    if math.prod(collection.numblocks[1:]) > 1:  # chunks of one block have equal lengths
        first = collection.blocks[(slice(None), *([0] * (n_axes - 1)))]
    counted: da.Array = da.map_blocks(
        _n_rows,
        first,
        drop_axis=list(range(1, n_axes)),
        chunks=((1,) * first.numblocks[0],),
        meta=meta,
        dtype=meta.dtype,
    )
    return counted


def with_sizes(array: da.Array, sizes: Any) -> da.Array:
    """Return the same array with ``sizes`` in place of unknown chunk lengths."""
    return da.Array(
        array.dask, array.name, (tuple(map(int, sizes)), *array.chunks[1:]), meta=array._meta
    )


def _n_rows(block: Any) -> NDArray[np.int64]:
    return np.array([block.shape[0]], dtype=np.int64)
