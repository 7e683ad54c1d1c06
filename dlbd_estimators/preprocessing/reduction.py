"""One parallel pass over rows: a kernel for every block, joined in a fixed tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar
from uuid import uuid4

import dask
import dask.array as da
import numpy as np

from dlbd_estimators.blocks_align import (
    align,
    blocks_of,
    known,
    one_column_of_chunks,
    refuse_shuffled_apart,
    with_lengths,
)
from dlbd_estimators.blocks_checks import CheckedRows
from dlbd_estimators.blocks_columns import column, features
from dlbd_estimators.blocks_frames import together
from dlbd_estimators.blocks_sources import is_frame
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.execution.select import check_cluster

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
    names: Sequence[str] = (),
) -> P:
    """Reduce aligned rows of Dask collections to one value, in one pass.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Rows that belong together. Blocks are the row chunks (partitions) of the first; the
        columns of an array are joined to one chunk. Lengths may be unknown.
    kernel : callable
        ``kernel(*blocks) -> partial`` with one NumPy array for each collection, or a pandas frame
        where a data frame is the only one; a block may have no rows. It must not change its
        arguments.
    combine : callable
        ``combine(left, right) -> partial``, blocks of ``left`` before those of ``right``.
        The tree depends on the number of blocks alone: the same bits for any scheduler and
        any number of workers, also where ``combine`` is not exactly associative.
    name : str
        Begins the keys of the tasks, and so names the pass on a dashboard.
    names : sequence of str
        What the user calls the collections, for messages.

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
    names = list(names) or _names(len(collections))
    frames = together(*collections)
    if len(frames) == 1:
        (only,) = frames
        whole = only if is_frame(only) else one_column_of_chunks(only)
        return _reduce([whole], CheckedRows(kernel, whole, names=names[:1]), combine, name)
    aligned = _aligned([_as_array(each) for each in frames], names)
    refuse_shuffled_apart(aligned)
    try:
        return _reduce(aligned, CheckedRows(kernel, *aligned, names=names), combine, name)
    except LengthMismatch:
        if all(known(each) for each in aligned):
            raise
    aligned = _aligned(with_lengths(*aligned), names)
    return _reduce(aligned, CheckedRows(kernel, *aligned, names=names), combine, name)


def _names(number: int) -> list[str]:
    return ["X"] if number == 1 else [f"array {each}" for each in range(number)]


def _as_array(collection: Any) -> da.Array:
    array: da.Array = collection
    if is_frame(collection):
        array = features(collection) if collection.ndim == 2 else column(collection, "a column")
    return array


def _aligned(arrays: list[da.Array], names: Sequence[str]) -> list[da.Array]:
    return list(align(dict(zip(names, arrays, strict=True))).values())


def _reduce(
    collections: list[Any], kernel: Callable[..., P], combine: Callable[[P, P], P], name: str
) -> P:
    check_cluster()
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
                name=name,
                meta=np.empty(0, dtype=object),
            )
        else:
            lazy = only.map_partitions(kernel, meta=(None, object), enforce_metadata=False)
        return list(lazy.to_delayed())
    columns = [blocks_of(each) for each in collections]
    return [
        dask.delayed(_same_rows, pure=False)(kernel, *blocks, dask_key_name=f"{name}-{index}")
        for index, blocks in enumerate(zip(*columns, strict=True))
    ]


def _same_rows(kernel: Callable[..., P], *blocks: Any) -> P:
    lengths = [len(block) for block in blocks]
    if len(set(lengths)) > 1:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: a block has "
            f"{' and '.join(map(str, lengths))} rows."
        )
    return kernel(*blocks)
