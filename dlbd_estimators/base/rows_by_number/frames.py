"""Dask data frames with known numbers of rows, from which rows are taken by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.dataframe as dd
import numpy as np
from dask.optimization import cull
from dask.task_spec import List, Task, TaskRef
from dask.tokenize import tokenize

from dlbd_estimators.base.rows_by_number.parts import Part, Piece, parts_of


class _Numbered:
    """Base of data frames and series: the length, and the pandas methods that scikit-learn uses."""

    row_blocks: tuple[int, ...]
    _expr: Any
    copy: Any

    def __init__(self, expr: Any, sizes: Sequence[int]) -> None:
        super().__init__(expr)  # type: ignore[call-arg]
        # Dask's own __setattr__ would look for a column with this name first.
        object.__setattr__(self, "row_blocks", tuple(sizes))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._expr, self.row_blocks)

    def __len__(self) -> int:
        return sum(self.row_blocks)

    def take(self, indices: Any, axis: Any = 0) -> Any:
        """Return rows by their numbers, in this order, as pandas does."""
        if axis not in (0, "index"):
            raise ValueError(f"take chooses rows (axis=0), but axis={axis!r} was asked for.")
        return take(self, parts_of(self.row_blocks, indices), np.asarray(indices))

    def to_dask_array(self, lengths: Any = None, **options: Any) -> Any:
        """Return the values as a Dask array of known chunk lengths."""
        if lengths is None or lengths is True:
            lengths = self.row_blocks
        return super().to_dask_array(lengths=lengths, **options)  # type: ignore[misc]

    @property
    def iloc(self) -> Any:
        """Select rows by number, or by any index that Dask accepts."""
        return _Indexer(self, "iloc")

    @property
    def loc(self) -> Any:
        """Select rows by a mask in memory, or by any index that Dask accepts."""
        return _Indexer(self, "loc")


class NumberedFrame(_Numbered, dd.DataFrame):  # type: ignore[misc] # to_dask_array: Dask's
    """A data frame of known length."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self), len(self.columns)


class NumberedSeries(_Numbered, dd.Series):  # type: ignore[misc] # to_dask_array: Dask's
    """A series of known length."""

    @property
    def shape(self) -> tuple[int]:
        """Number of rows."""
        return (len(self),)

    def __getitem__(self, key: Any) -> Any:
        # scikit-learn reads y[0] to find the type of the labels.
        if isinstance(key, int):
            return self.iloc[key]
        return super().__getitem__(key)  # type: ignore[no-untyped-call]


class _Indexer:
    def __init__(self, frame: Any, kind: str) -> None:
        self._frame = frame
        self._kind = kind

    def __getitem__(self, key: Any) -> Any:
        frame, by_number = self._frame, self._kind == "iloc"
        if by_number and isinstance(key, int | np.integer):
            return frame.take([key]).compute().iloc[0]
        if by_number and isinstance(key, slice):
            return frame.take(np.arange(len(frame))[key])
        if isinstance(key, list | np.ndarray) and np.asarray(key).dtype.kind in (
            "biu" if by_number else "b"
        ):
            return frame.take(key)
        return getattr(frame.copy(), self._kind)[key]


def numbered(frame: Any, sizes: Sequence[int]) -> Any:
    """Return a frame of a single graph with known block lengths, without its empty partitions."""
    kept = [index for index, size in enumerate(sizes) if size] or [0]
    if len(kept) < len(sizes):
        keys = frame.__dask_keys__()
        graph = frame.__dask_graph__()
        frame = _of_graph(graph, frame._meta, [keys[index] for index in kept])
    return _with_sizes(frame, [sizes[index] for index in kept])


def take(frame: Any, parts: Sequence[Part], token: Any) -> Any:
    """Return a frame whose partitions are parts of another frame, one of a single graph."""
    name = f"rows-{tokenize(frame._name, token)}"
    sources = frame.__dask_keys__()
    graph = dict(frame.__dask_graph__())
    keys = []
    for number, part in enumerate(parts):
        taken = []
        for position, piece in enumerate(part.pieces):
            key: Any = (f"take-{name}", number, position)
            graph[key] = Task(key, Piece.take, piece, TaskRef(sources[piece.block]))
            taken.append(TaskRef(key))
        key = (name, number)
        graph[key] = Task(key, Part.join, part, List(*taken))
        keys.append(key)
    return _with_sizes(_of_graph(graph, frame._meta, keys), [part.n_rows for part in parts])


def _of_graph(graph: Any, meta: Any, keys: Sequence[Any]) -> Any:
    graph, _ = cull(dict(graph), list(keys))
    return dd.from_graph(graph, meta, (None,) * (len(keys) + 1), list(keys), "rows")


def _with_sizes(frame: Any, sizes: Sequence[int]) -> Any:
    kind = NumberedFrame if frame.ndim == 2 else NumberedSeries
    return kind(frame.expr, sizes)
