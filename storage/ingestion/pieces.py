"""X and y of a source as Dask arrays, in pieces that fit into memory after encoding."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from dask._task_spec import Task, TaskRef
from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from storage.ingestion.checked_rows import CleanRows
from storage.ingestion.recipe import Recipe
from storage.ingestion.rows import Rows

__all__ = ["array_of", "encoded_arrays"]

#: Bytes of X that one task encodes.
_PIECE_NBYTES = 32 * 2**20


def encoded_arrays(
    recipe: Recipe, rows: Sequence[Delayed], n_kept: Sequence[int]
) -> tuple[DaskArray, DaskArray]:
    """Return X and y as Dask arrays.

    Parameters
    ----------
    recipe : Recipe
        The steps.
    rows : sequence of Delayed Rows or CleanRows
        The raw rows of each partition, or its clean rows.
    n_kept : sequence of int
        Number of kept rows of each partition.
    """
    # One task holds the recipe, because its joined tables may be large.
    shared = delayed(recipe, name=f"recipe-{uuid.uuid4().hex}", traverse=False)
    step = max(1, _PIECE_NBYTES // (8 * max(1, len(recipe.feature_names))))
    pieces, lengths = [], []
    name = f"encode-{uuid.uuid4().hex}"
    for number, (each, kept) in enumerate(zip(rows, n_kept, strict=True)):
        starts = range(0, kept, step)
        if len(starts) > 1 and recipe.may_drop:
            each = delayed(_kept_rows, traverse=False)(
                shared, each, dask_key_name=f"{name}-kept-{number}"
            )
        for start in starts:
            part = (start, start + step) if len(starts) > 1 else None
            encode = delayed(partial(_encode, part), traverse=False)
            pieces.append(encode(shared, each, dask_key_name=f"{name}-{number}-{start}"))
            lengths.append(min(step, kept - start))
    n_features = len(recipe.feature_names)
    X = array_of(pieces, 0, lengths, (n_features,), np.dtype(np.float64))
    return X, array_of(pieces, 1, lengths, (), recipe.target_dtype)


def _encode(
    part: tuple[int, int] | None, recipe: Recipe, rows: Rows | CleanRows
) -> tuple[Any, Any]:
    if isinstance(rows, CleanRows):
        return recipe.encode_clean(rows if part is None else rows.part(*part))
    table = rows.table if part is None else rows.table.slice(part[0], part[1] - part[0])
    encoded = recipe.encode(table, rows.file)
    return encoded.X, encoded.y


def _kept_rows(recipe: Recipe, rows: Rows | CleanRows) -> Rows | CleanRows:
    if isinstance(rows, CleanRows):
        return rows
    return Rows(recipe.kept(rows.table, rows.file), rows.file, rows.unit, rows.n_units)


def array_of(
    pieces: Sequence[Any],
    position: int,
    lengths: Sequence[float],
    row_shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> DaskArray:
    """Return one array of each piece, concatenated along the rows.

    Parameters
    ----------
    pieces : sequence of Delayed tuples of ndarray
        The pieces.
    position : int
        Position of the array in each tuple.
    lengths : sequence of float
        Rows of each piece; NaN if unknown.
    row_shape : tuple of int
        Shape of a row.
    dtype : dtype
        Dtype of the array.
    """
    name = f"piece-{position}-{uuid.uuid4().hex}"
    rest = (0,) * len(row_shape)
    tasks: dict[Any, Any] = {
        (name, index, *rest): Task((name, index, *rest), _choose, TaskRef(piece.key), position)
        for index, piece in enumerate(pieces)
    }
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=list(pieces))
    chunks = (tuple(lengths), *((size,) for size in row_shape))
    return DaskArray(graph, name, chunks=chunks, meta=np.empty((0,) * (1 + len(row_shape)), dtype))


def _choose(arrays: Sequence[Any], position: int) -> Any:
    return arrays[position]
