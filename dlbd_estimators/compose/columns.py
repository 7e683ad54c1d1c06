"""Select columns of a lazy collection and put columns side by side, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from dask.base import tokenize
from numpy.typing import NDArray

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.blocks.checks import CheckedFunction, check_rows_kept
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.preprocessing.columns import FrameValues
from dlbd_estimators.preprocessing.lazy import container, map_rows


def read_once(X: Any) -> Any:
    """Return X with checked blocks, which are read once for all results made from them.

    Dask reads a file again for each selection of its columns, unless the reading is part of a graph
    that Dask does not optimise.
    """
    (fixed,) = merge_graphs(X)
    checked = CheckedFunction(_same, fixed)
    if isinstance(fixed, da.Array):
        return da.map_blocks(
            checked, fixed, dtype=fixed.dtype, meta=fixed._meta, name=f"checked-{tokenize(fixed)}"
        )
    return fixed.map_partitions(checked, meta=fixed._meta, enforce_metadata=False)


def _same(block: Any) -> Any:
    return block


def take(X: Any, positions: list[int]) -> Any:
    """Return the columns at the given positions."""
    if not isinstance(X, da.Array):
        return X.iloc[:, positions]
    if positions == list(range(positions[0], positions[0] + len(positions))):
        return X[:, positions[0] : positions[-1] + 1]  # a view of each block
    return X[:, positions]


def take_each(X: Any, positions: Sequence[list[int]]) -> list[Any]:
    """Return several selections of columns; a pass over all of them reads each partition once."""
    if isinstance(X, da.Array) or len(positions) < 2:
        return [take(X, each) for each in positions]
    needed = sorted({place for each in positions for place in each})
    X = read_once(take(X, needed))
    return [take(X, [needed.index(place) for place in each]) for each in positions]


def concatenated(
    estimator: Any, X: Any, names: Sequence[str], outputs: Sequence[Any], weights: Sequence[Any]
) -> Any:
    """Put the outputs of all steps side by side, lazily.

    Parameters
    ----------
    estimator : estimator
        Determines the container and the names of its columns.
    X : dask.array.Array or dask.dataframe.DataFrame
        The input of the steps.
    names : sequence of str
        Names of the steps.
    outputs : sequence of dask.array.Array or dask.dataframe.DataFrame
        Outputs of the steps.
    weights : sequence of float or None
        Factors of the outputs.

    Returns
    -------
    dask.array.Array or dask.dataframe.DataFrame
        The outputs in one chunk of columns, with the rows of X.

    Raises
    ------
    ValueError
        An output does not have the rows of X.
    """
    for name, output in zip(names, outputs, strict=True):
        _check_rows(name, output, X)
    width = sum(output.shape[1] for output in outputs)
    empty = container(estimator, np.empty((0, width)))
    if isinstance(empty, pd.DataFrame):
        return _frame(X, outputs, weights, empty.columns)
    return _array(X, names, outputs, weights, width)


def _array(
    X: Any, names: Sequence[str], outputs: Sequence[Any], weights: Sequence[Any], width: int
) -> da.Array:
    arrays = [
        each
        if isinstance(each, da.Array)
        else map_rows(each, FrameValues(each), meta=FrameValues(each).like)
        for each in outputs
    ]
    if not arrays:
        return map_rows(X, _no_columns, dtype=np.float64, n_columns=0)
    arrays = [each.rechunk({1: -1}) if each.numblocks[1] > 1 else each for each in arrays]
    try:
        dtype = _joined([np.empty((0, 1), each.dtype) for each in arrays], weights).dtype
    except TypeError as error:
        dtypes = ", ".join(f"{n!r} ({each.dtype})" for n, each in zip(names, arrays, strict=True))
        raise TypeError(f"The outputs of the steps have no common dtype: {dtypes}.") from error
    operands = [part for i, each in enumerate(arrays) for part in (each, (0, i + 2))]
    join: Callable[..., NDArray[Any]] = _Join(weights, dtype)
    if isinstance(X, da.Array) and known(X) and not all(map(known, arrays)):
        # The partitions of a frame have unknown lengths. Those of X are known: compare them.
        operands = [X, (0, len(arrays) + 2), *operands]
        join = _AsLong(join)
    joined: da.Array = da.blockwise(
        join,
        (0, 1),
        *operands,
        new_axes={1: width},
        concatenate=True,
        align_arrays=False,
        dtype=dtype,
        meta=np.empty((0, 0), dtype=dtype),
    )
    return joined


def _frame(X: Any, outputs: Sequence[Any], weights: Sequence[Any], names: pd.Index) -> Any:
    import dask.dataframe as dd  # takes a second, and arrays do not need it

    frames = [
        dd.from_dask_array(each, columns=list(range(each.shape[1])))
        if isinstance(each, da.Array)
        else each
        for each in outputs
    ]
    if isinstance(X, da.Array):
        # Only the index of this frame is used, so that a result without columns has rows, too.
        X = dd.from_dask_array(X, columns=list(range(X.shape[1])))
    join = _JoinFrames(weights, names)
    meta = join(X._meta, *(each._meta for each in frames))
    return X.map_partitions(join, *frames, meta=meta, align_dataframes=False)


def _check_rows(name: str, output: Any, X: Any) -> None:
    expected, found = _row_chunks(X), _row_chunks(output)
    same = len(expected) == len(found) and all(
        np.isnan(a) or np.isnan(b) or a == b for a, b in zip(expected, found, strict=True)
    )
    if not same:
        raise ValueError(
            f"Step {name!r} changed the rows: its output has {len(found)} blocks of {found} "
            f"rows, but X has {len(expected)} blocks of {expected} rows."
        )


def _row_chunks(X: Any) -> tuple[float, ...]:
    if isinstance(X, da.Array):
        return tuple(X.chunks[0])
    return (np.nan,) * int(X.npartitions)


class _Join:
    """Puts arrays side by side, each multiplied by its weight."""

    __name__ = "side_by_side"  # names the tasks

    def __init__(self, weights: Sequence[Any], dtype: np.dtype[Any]) -> None:
        self.weights = tuple(weights)
        self.dtype = dtype

    def __call__(self, *blocks: NDArray[Any]) -> NDArray[Any]:
        return _joined(blocks, self.weights).astype(self.dtype, copy=False)


class _AsLong:
    """Puts arrays side by side, after a check that each has as many rows as the block of X."""

    __name__ = "side_by_side"

    def __init__(self, join: Callable[..., NDArray[Any]]) -> None:
        self.join = join

    def __call__(self, X: NDArray[Any], *blocks: NDArray[Any]) -> NDArray[Any]:
        for block in blocks:
            check_rows_kept(len(block), len(X))
        return self.join(*blocks)


def _joined(blocks: Sequence[NDArray[Any]], weights: Sequence[Any]) -> NDArray[Any]:
    return np.hstack([_weighted(*each) for each in zip(blocks, weights, strict=True)])


class _JoinFrames:
    """Puts frames side by side, each multiplied by its weight, with the index of X."""

    __name__ = "side_by_side"

    def __init__(self, weights: Sequence[Any], names: pd.Index) -> None:
        self.weights = tuple(weights)
        self.names = names

    def __call__(self, X: pd.DataFrame, *blocks: pd.DataFrame) -> pd.DataFrame:
        parts = [
            _weighted(block, weight).set_axis(X.index, axis=0)
            for block, weight in zip(blocks, self.weights, strict=True)
        ]
        joined = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=X.index)
        return joined.set_axis(self.names, axis=1)


def _weighted(block: Any, weight: Any) -> Any:
    return block if weight is None else block * weight


def _no_columns(block: Any) -> NDArray[np.float64]:
    return np.empty((len(block), 0))
