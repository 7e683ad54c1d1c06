"""One parallel pass over rows: a kernel for every block, joined in a fixed tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar
from uuid import uuid4

import dask
import dask.array as da
import numpy as np

from dlbd_estimators.exceptions import LengthMismatch

P = TypeVar("P")

#: Partials that one task joins. Wide enough to add few tasks, narrow enough that a block's
#: partial does not wait long: partials, unlike blocks, pile up only by this many a level.
_FAN_IN = 8


def reduce_rows(
    collections: Sequence[Any],
    kernel: Callable[..., P],
    combine: Callable[[P, P], P],
    *,
    name: str,
) -> P:
    """Reduce aligned rows of Dask collections to one value, in one pass.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Rows that belong together. Blocks are the row chunks (partitions) of the first; the
        columns of an array are joined to one chunk. Lengths may be unknown.
    kernel : callable
        ``kernel(*blocks) -> partial`` with one NumPy array (pandas frame or series) for each
        collection; a block may have no rows. It must not change its arguments.
    combine : callable
        ``combine(left, right) -> partial``, blocks of ``left`` before those of ``right``.
        The tree depends on the number of blocks alone: the same bits for any scheduler and
        any number of workers, also where ``combine`` is not exactly associative.
    name : str
        Begins the keys of the tasks, and so names the pass on a dashboard.

    Returns
    -------
    object
        The partial of all rows. It is computed on the active scheduler or cluster.

    Raises
    ------
    LengthMismatch
        The collections differ in length; before computing where lengths are known.

    Notes
    -----
    Where lengths are unknown, and as many blocks turn out to be cut differently, the data is
    read again: once for the lengths, and once for the result.
    """
    aligned = _align(list(collections))
    try:
        return _reduce(aligned, kernel, combine, name)
    except LengthMismatch:
        if all(_known(each) for each in aligned):
            raise
    return _reduce(_align([_with_lengths(each) for each in aligned]), kernel, combine, name)


def _reduce(
    collections: list[Any], kernel: Callable[..., P], combine: Callable[[P, P], P], name: str
) -> P:
    # Keys of its own for every pass: a cluster must not answer with an older pass's value.
    prefix = f"{name}-{uuid4().hex}"
    level = _partials(collections, kernel, f"{name}-block-{prefix}")
    depth = 0
    while len(level) > 1:
        depth += 1
        level = [
            dask.delayed(_join, pure=False)(
                combine,
                level[start : start + _FAN_IN],
                dask_key_name=f"{name}-join-{prefix}-{depth}-{start // _FAN_IN}",
            )
            for start in range(0, len(level), _FAN_IN)
        ]
    (result,) = dask.compute(level[0])
    partial: P = result
    return partial


def _join(combine: Callable[[P, P], P], partials: list[P]) -> P:
    return reduce(combine, partials)


def _partials(collections: list[Any], kernel: Callable[..., P], name: str) -> list[Any]:
    """Apply the kernel to all blocks, lazily."""
    if len(collections) == 1:
        # Optimised as one graph, loading a block and its kernel are one task: a block lives no
        # longer than that, and no scheduler can load ahead.
        (only,) = collections
        if isinstance(only, da.Array):
            lazy = da.blockwise(
                kernel,
                "i",
                only,
                "ij"[: only.ndim],
                concatenate=True,
                name=name,
                meta=np.empty(0, dtype=object),
            )
        else:
            lazy = only.map_partitions(kernel, meta=(None, object), enforce_metadata=False)
        return list(lazy.to_delayed())
    # Not optimised, because each array would then read what they have in common.
    columns = [
        each.to_delayed(optimize_graph=False).ravel()
        if isinstance(each, da.Array)
        else each.to_delayed()
        for each in collections
    ]
    return [
        dask.delayed(_checked, pure=False)(kernel, *blocks, dask_key_name=f"{name}-{index}")
        for index, blocks in enumerate(zip(*columns, strict=True))
    ]


def _checked(kernel: Callable[..., P], *blocks: Any) -> P:
    lengths = [len(block) for block in blocks]
    if len(set(lengths)) > 1:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: a block has "
            f"{' and '.join(map(str, lengths))} rows."
        )
    return kernel(*blocks)


def _align(collections: list[Any]) -> list[Any]:
    collections = [
        each.rechunk({1: -1})
        if isinstance(each, da.Array) and each.ndim > 1 and each.numblocks[1] > 1
        else each
        for each in collections
    ]
    counts = {_n_blocks(each) for each in collections}
    if len(counts) > 1:
        # Lengths must be known before rows can be matched: where they are not, the
        # collection is read once to find them.
        collections = [_with_lengths(each) for each in collections]
        first = collections[0]
    else:
        first = next((each for each in collections if _known(each)), None)
    if first is None:
        return collections
    for other in collections:
        if _known(other) and other.shape[0] != first.shape[0]:
            raise LengthMismatch(
                f"Found input variables with inconsistent numbers of samples: "
                f"{first.shape[0]} and {other.shape[0]} rows."
            )
    return [
        each.rechunk({0: first.chunks[0]})
        if _known(each) and each.chunks[0] != first.chunks[0]
        else each
        for each in collections
    ]


def _n_blocks(collection: Any) -> int:
    if isinstance(collection, da.Array):
        return int(collection.numblocks[0])
    return int(collection.npartitions)


def _known(collection: Any) -> bool:
    return isinstance(collection, da.Array) and not np.isnan(collection.shape[0])


def _with_lengths(collection: Any) -> da.Array:
    if not isinstance(collection, da.Array):
        array: da.Array = collection.to_dask_array(lengths=True)
        return array
    # A copy, because compute_chunk_sizes changes the array in place.
    return collection if _known(collection) else collection.copy().compute_chunk_sizes()
