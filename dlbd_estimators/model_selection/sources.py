"""Open the collections that users split, and find the lengths of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import dask.array as da
import numpy as np

from dlbd_estimators.blocks.alignment import check_same_shuffle, share_source
from dlbd_estimators.blocks.checks import check_same_rows
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import as_dask_collection, is_dataset, is_lazy, is_list_of_lazy
from dlbd_estimators.engine.column_passes import block_lengths


@dataclass(frozen=True)
class LazySource:
    """A Dask collection and the rows of its blocks.

    Parameters
    ----------
    data : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        The rows.
    sizes : tuple of int
        Number of rows of each block. If Dask does not know it, it was counted for this array or for
        another array of the same source.
    """

    data: Any
    sizes: tuple[int, ...]


def is_split_by_block(X: Any) -> bool:
    """Return whether X is split block by block.

    A list of lazy objects is not: it is split like any list, into lists of objects, which stay
    lazy.
    """
    return is_lazy(X) and not is_list_of_lazy(X)


def unpack(arrays: Sequence[Any]) -> list[Any]:
    """Return the arrays to split; a data set is replaced by X, y and, if it has any, its weights.

    A data set is recognised by its lazy attributes ``X`` and ``y``.

    Raises
    ------
    ValueError
        No arrays were passed.
    TypeError
        A data set comes with other arrays.
    """
    if not arrays:
        raise ValueError("At least one array required as input")
    if not any(is_dataset(source) for source in arrays):
        return list(arrays)
    if len(arrays) > 1:
        raise TypeError(
            "A data set has to be split on its own, but came with other arrays. Pass its arrays "
            "instead: dataset.X, dataset.y and the others."
        )
    dataset = arrays[0]
    weight = getattr(dataset, "sample_weight", None)
    return [dataset.X, dataset.y, *([] if weight is None else [weight])]


def sources(arrays: Sequence[Any]) -> list[Any]:
    """Open lazy arrays and find the lengths of their blocks; leave arrays in memory as they are.

    If Dask does not know the lengths, one pass over the array with the shortest rows counts them.
    These lengths are used for all arrays of the same source with the same number of blocks. (Each
    block is checked against them when it is read.)

    Returns
    -------
    list
        :class:`LazySource` for each lazy array; the others unchanged.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows, or one was shuffled without the others.
    """
    fixed = merge_graphs(
        *(
            as_dask_collection("an array", source, sparse=True)
            if is_split_by_block(source)
            else source
            for source in arrays
        )
    )
    lazy = [source for source in fixed if is_split_by_block(source)]
    if not all(source.ndim for source in lazy):
        raise ValueError("Found an array of no dimensions, which has no rows to split.")
    check_same_shuffle(fixed)
    # Arrays of known lengths come first, then those with the shortest rows.
    order = sorted(lazy, key=lambda x: (_lengths(x) is None, _row_nbytes(x)))
    counted: list[LazySource] = []
    for source in order:
        sizes = _lengths(source) or next(
            (a.sizes for a in counted if _have_same_blocks(a.data, source)), None
        )
        counted.append(LazySource(source, block_lengths(source)[0] if sizes is None else sizes))
    by_object = {id(source.data): source for source in counted}
    result = [by_object.get(id(source), source) for source in fixed]
    _check_lengths(result)
    return result


def _check_lengths(result: Sequence[Any]) -> None:
    lengths = [
        sum(source.sizes)
        if isinstance(source, LazySource)
        else (source.shape[0] if hasattr(source, "shape") else len(source))
        for source in result
    ]
    check_same_rows(lengths)
    if not lengths[0]:
        raise ValueError("Found arrays with 0 samples: there is nothing to split.")


def _n_blocks(collection: Any) -> int:
    return int(collection.numblocks[0] if _is_array(collection) else collection.npartitions)


def _lengths(collection: Any) -> tuple[int, ...] | None:
    if not _is_array(collection) or any(np.isnan(collection.chunks[0])):
        return None
    return tuple(int(size) for size in collection.chunks[0])


def _row_nbytes(collection: Any) -> int:
    if _is_array(collection):
        return int(prod(collection.shape[1:]) * collection.dtype.itemsize)
    return 8 * (collection.shape[1] if collection.ndim > 1 else 1)


def _have_same_blocks(a: Any, b: Any) -> bool:
    return _n_blocks(a) == _n_blocks(b) and share_source(a, b)


def _is_array(collection: Any) -> bool:
    return isinstance(collection, da.Array)
