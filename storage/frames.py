"""Convert Dask frames to Dask arrays over one graph, so that rows of X stay beside their y.

Dask optimises each frame separately. Two columns of one shuffled frame then become two shuffles. A
shuffle through the disk or between workers leaves the rows of a partition in a different order each
time. Columns of one Parquet file may even be cut into different partitions, because these depend on
the sizes of the columns that are read. So all frames are merged into one graph before any of them
becomes an array. Tasks that they have in common then run once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from dask._task_spec import Task, TaskRef
from dask.array.core import Array as DaskArray
from dask.base import collections_to_expr
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.tokenize import tokenize

from storage.columns import Columns

__all__ = ["arrays_of_frames", "is_frame"]


def is_frame(values: Any) -> TypeGuard[Any]:
    """Return whether `values` is a Dask DataFrame, Series or Index."""
    if "dask.dataframe" not in sys.modules:
        return False
    from dask.dataframe.dask_expr import FrameBase

    # The sum of a frame, for example, is a FrameBase too, but has no rows: its ndim is 0.
    return isinstance(values, FrameBase) and getattr(values, "ndim", 0) > 0


def arrays_of_frames(
    frames: Mapping[str, Any],
) -> tuple[dict[str, DaskArray], dict[str, DaskArray]]:
    """Convert Dask frames to Dask arrays, and make arrays that count the rows of each partition.

    Parameters
    ----------
    frames : mapping of str to Dask DataFrame or Series
        All frames that will be written together. The names are used in messages.

    Returns
    -------
    arrays : dict of str to dask.array.Array
        The values, with one block of unknown length for each partition.
    counts : dict of str to dask.array.Array
        The number of rows of each block of the array with the same name.
    """
    if not frames:
        return {}, {}
    graph, partitions = _one_graph(frames)
    source = f"frames-{tokenize(partitions)}"
    arrays, counts = {}, {}
    for name, frame in frames.items():
        reader = Columns.of(name, frame._meta, lazy=True)
        rest = () if reader.labels is None else ((len(reader.labels),),)
        keys, choice = partitions[name]
        block = _Block(choice, reader)
        chunks = ((np.nan,) * len(keys), *rest)
        arrays[name] = _array(source, graph, keys, block, np.dtype(reader.dtype), chunks)
        ones = ((1,) * len(keys), *((1,) for _ in rest))
        counts[name] = _array(source, graph, keys, _Rows(len(ones)), np.dtype(np.int64), ones)
    return arrays, counts


@dataclass(frozen=True)
class _Block:
    """Converts a partition to an array, after it has selected the columns `choice` (None: all)."""

    choice: Any
    reader: Columns

    def __call__(self, partition: Any, index: int) -> npt.NDArray[np.generic]:
        return self.reader(
            partition if self.choice is None else self._chosen(partition, index), index
        )

    def _chosen(self, partition: Any, index: int) -> Any:
        found = list(getattr(partition, "columns", ()))
        wanted = self.choice if isinstance(self.choice, list) else [self.choice]
        wrong = [label for label in wanted if found.count(label) != 1]
        if wrong:
            raise ValueError(
                f"partition {index} of {self.reader.name} came as {type(partition).__name__} with "
                f"columns {found}, but exactly one column {wrong[0]!r} was promised: make all "
                f"partitions alike, or give the right meta"
            )
        return partition[self.choice]


@dataclass(frozen=True)
class _Rows:
    """Number of rows of a partition, as an array of one element."""

    ndim: int

    def __call__(self, partition: Any, _: int) -> Any:
        return np.full((1,) * self.ndim, len(partition), dtype=np.int64)


# Keys of the partitions, and the columns to select from each partition (None: all).
_Partitions = tuple[list[Any], Any]


def _one_graph(frames: Mapping[str, Any]) -> tuple[dict[Any, Any], dict[str, _Partitions]]:
    shared = _columns_of_one_frame(frames)
    if shared is not None:
        return shared
    if all(_row_by_row(frame.expr) for frame in frames.values()):
        # Rows keep their order, whichever columns are read and wherever partitions are cut, so
        # Dask may optimise all frames as one expression. It then reads each source once.
        together = collections_to_expr(list(frames.values())).optimize()
        keys = zip(frames, together.__dask_keys__(), strict=True)
        return dict(together.__dask_graph__()), {name: (list(each), None) for name, each in keys}
    return _not_optimised(frames)


def _columns_of_one_frame(
    frames: Mapping[str, Any],
) -> tuple[dict[Any, Any], dict[str, _Partitions]] | None:
    """Optimise one frame with all needed columns, if all `frames` select columns of it.

    Return its graph, and for each of `frames` the partitions and the columns to select; None if
    the frames come from different frames.
    """
    from dask.dataframe.dask_expr import new_collection

    roots = [_chosen_from(frame.expr) for frame in frames.values()]
    root = roots[0]
    if root.ndim != 2 or len({each._name for each in roots}) > 1 or not root.columns:
        return None
    if len(set(root.columns)) < len(root.columns):
        return None
    # Not expr.columns: for the columns ("a", "x") and ("a", "y") it may only list "a".
    needed = {
        label
        for frame in frames.values()
        for label in ([frame.name] if frame.ndim == 1 else frame.columns)
    }
    combined = new_collection(root)[[label for label in root.columns if label in needed]]
    try:
        combined = combined.optimize()
        graph, keys = dict(combined.__dask_graph__()), list(combined.__dask_keys__())
    except AssertionError:
        # Dask raises it if Parquet is read into fewer partitions than repartition expects.
        return None
    choices = {
        name: frame.name
        if frame.ndim == 1
        else None
        if list(frame.columns) == list(combined.columns)
        else list(frame.columns)
        for name, frame in frames.items()
    }
    return graph, {name: (keys, choices[name]) for name in frames}


def _chosen_from(expr: Any) -> Any:
    """Return the expression from which `expr` only selects columns, or `expr` itself."""
    while type(expr).__name__ in {"Projection", "Drop"}:
        expr = expr.frame
    return expr


def _not_optimised(
    frames: Mapping[str, Any],
) -> tuple[dict[Any, Any], dict[str, _Partitions]]:
    """Return the graph of all frames without Dask's optimiser.

    The optimiser moves the selection of columns below a shuffle or a merge. One shuffle then
    becomes two, which may cut their partitions differently. Without the optimiser it stays one
    shuffle. A shuffle through the disk gets new inner keys each time its graph is made, but its
    results keep their keys: the graph that is made last replaces the earlier ones.
    """
    graph: dict[Any, Any] = {}
    partitions = {}
    for name, frame in frames.items():
        try:
            lowered = frame.expr.lower_completely()
            graph.update(lowered.__dask_graph__())
        except AssertionError as error:
            raise ValueError(
                f"Dask cannot make a graph of {name} that keeps its rows beside those of "
                f"{', '.join(other for other in frames if other != name) or 'the others'}: give "
                f"columns of one frame, frame[columns] and frame[column], or persist() the "
                f"frame that they come from"
            ) from error
        partitions[name] = list(lowered.__dask_keys__()), None
    return graph, partitions


def _row_by_row(expr: Any) -> bool:
    """Return whether every step, from the source on, maps one partition to one partition."""
    from dask.dataframe.dask_expr._expr import Blockwise
    from dask.dataframe.dask_expr.io import IO

    return all(isinstance(each, Blockwise | IO) for each in expr.walk() if getattr(each, "ndim", 0))


def _array(
    source: str,
    graph: dict[Any, Any],
    partitions: list[Any],
    function: Any,
    dtype: np.dtype[Any],
    chunks: tuple[tuple[float, ...], ...],
) -> DaskArray:
    name = f"block-{tokenize(source, function)}"
    rest = (0,) * (len(chunks) - 1)
    tasks = {
        (name, index, *rest): Task((name, index, *rest), function, TaskRef(key), index)
        for index, key in enumerate(partitions)
    }
    layers = {source: MaterializedLayer(graph), name: MaterializedLayer(tasks)}
    combined = HighLevelGraph(layers, {source: set(), name: {source}})
    return DaskArray(combined, name, chunks=chunks, meta=np.empty((0,) * len(chunks), dtype))
