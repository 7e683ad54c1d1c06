"""Dask arrays from which rows are taken by number, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import List, Task, TaskRef
from dask.tokenize import tokenize

from dlbd_estimators.base.rows_by_number.parts import Part, Piece, parts_of


class NumberedArray(da.Array):
    """A Dask array with known chunk lengths, from which rows are taken block by block.

    Dask's own indexing cuts the selected rows into chunks of equal length, most of which have rows
    of two blocks. Here, arrays and data frames with the same blocks are cut at the same rows.
    """

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        numbers = index
        if isinstance(index, tuple) and len(index) == 2 and index[1] is Ellipsis:
            numbers = index[0]
        if isinstance(numbers, list | np.ndarray) and np.asarray(numbers).dtype.kind in "biu":
            return take(self, parts_of(self.chunks[0], numbers), np.asarray(numbers))
        return super().__getitem__(index)  # type: ignore[no-untyped-call]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # Dask's unique functions lack equal_nan. NumPy's results are in memory, which is where
        # scikit-learn needs them in any case.
        if func.__name__.startswith("unique"):
            return func(np.asarray(args[0]), *args[1:], **kwargs)
        return super().__array_function__(  # type: ignore[no-untyped-call]
            func, types, args, kwargs
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return numbered, (self.dask, self.name, self.chunks, self._meta)


def numbered(graph: Any, name: str, chunks: Any, meta: Any) -> NumberedArray:
    """Make an array from a graph, as :class:`dask.array.Array` does."""
    return NumberedArray(graph, name, chunks, meta=meta)  # type: ignore[no-untyped-call]


def take(array: da.Array, parts: Sequence[Part], token: Any) -> NumberedArray:
    """Return an array whose chunks are parts of another array."""
    name = f"rows-{tokenize(array.name, array.chunks, token)}"
    layer: dict[Any, Any] = {}
    for number, part in enumerate(parts):
        for column in product(*map(range, array.numblocks[1:])):
            taken = []
            for position, piece in enumerate(part.pieces):
                key: Any = (f"take-{name}", number, position, *column)
                source = TaskRef((array.name, piece.block, *column))
                layer[key] = Task(key, Piece.take, piece, source)
                taken.append(TaskRef(key))
            key = (name, number, *column)
            layer[key] = Task(key, Part.join, part, List(*taken))
    sources: Any = [array]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=sources)
    lengths = tuple(part.n_rows for part in parts)
    return numbered(graph, name, (lengths, *array.chunks[1:]), array._meta)
