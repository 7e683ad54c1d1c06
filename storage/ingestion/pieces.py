"""X, y and hashes of a source as Dask arrays, in pieces that fit into memory after encoding."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from dask._task_spec import Task, TaskRef
from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from storage.computing import n_threads
from storage.ingestion.block_pieces import Part, block_parts, encoding
from storage.ingestion.checked_rows import CleanRows
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.recipe import Recipe
from storage.ingestion.rows import Rows

__all__ = ["EncodedArrays", "array_of", "blocks_at_once", "encoded_arrays", "in_one_layer"]

#: Bytes of X that one task encodes.
_PIECE_NBYTES = 32 * 2**20

#: Blocks that one computation writes, for each thread.
_BLOCKS_OF_THREAD = 8


def blocks_at_once() -> int:
    """Return how many blocks of encoded rows one computation may write.

    A block has rows of two or three pieces. Dask computes pieces that lie far apart, and the more
    pieces a computation has, the more of them wait in memory for their neighbours. With a limit the
    memory does not grow with the source. Where two computations meet, one piece is encoded twice.
    """
    return _BLOCKS_OF_THREAD * n_threads()


class EncodedArrays(NamedTuple):
    """X, y and the hashes of encoded rows; the last are None if no column forbids duplicates."""

    X: DaskArray
    y: DaskArray
    hashes: DaskArray | None


def encoded_arrays(
    recipe: Recipe,
    rows: Sequence[LazyRows],
    n_kept: Sequence[int],
    blocks: Sequence[int] = (),
) -> EncodedArrays:
    """Return X, y and hashes as Dask arrays.

    Parameters
    ----------
    recipe : Recipe
        The steps.
    rows : sequence of LazyRows
        The raw rows of each partition, or its clean rows.
    n_kept : sequence of int
        Number of kept rows of each partition.
    blocks : sequence of int
        Number of rows of each block that will be written. Rows that are read quickly are encoded
        block by block, so that no task waits for rows of another one. Without blocks, as for all
        other rows, a piece lies in one partition.
    """
    # One task holds the recipe, because its joined tables may be large.
    shared = delayed(recipe, name=f"recipe-{uuid.uuid4().hex}", traverse=False)
    n_features = len(recipe.feature_names)
    n_words = recipe.n_words
    found = _Pieces(shared, max(1, _PIECE_NBYTES // (8 * max(1, n_features + n_words))))
    ends = np.cumsum(np.asarray(blocks, np.int64)).tolist()
    first = 0
    for quick, run in groupby(
        zip(rows, n_kept, strict=True), lambda partition: bool(ends) and partition[0].quick
    ):
        partitions, kept = zip(*run, strict=True)
        if quick:
            found.add_blocks(block_parts(partitions, kept, first, ends))
        else:
            for each in zip(partitions, kept, strict=True):
                found.add_partition(*each)
        first += sum(kept)
    pieces = in_one_layer(found.tasks, found.reads)
    X = array_of(pieces, 0, found.lengths, (n_features,), np.dtype(np.float64))
    y = array_of(pieces, 1, found.lengths, (), recipe.target_dtype)
    hashes = None
    if n_words:
        hashes = array_of(pieces, 2, found.lengths, (n_words,), np.dtype(np.uint64))
    return EncodedArrays(X, y, hashes)


class _Pieces:
    """The tasks that encode pieces, in the order of their rows.

    Parameters
    ----------
    recipe : Delayed
        The steps.
    step : int
        Most rows of a piece that lies in one partition.
    """

    def __init__(self, recipe: Delayed, step: int) -> None:
        self.tasks: list[Delayed] = []
        self.lengths: list[int] = []
        self.reads: list[Delayed] = []
        self._recipe, self._step, self._name = recipe, step, uuid.uuid4().hex

    def add_blocks(self, blocks: Iterable[Sequence[Part]]) -> None:
        """Add a piece for the parts of each block."""
        for parts in blocks:
            self.tasks.append(encoding(parts, self._recipe, self._key()))
            self.lengths.append(sum(part.n_rows for part in parts))

    def add_partition(self, partition: LazyRows, n_kept: int) -> None:
        """Add the pieces of a partition."""
        starts = range(0, n_kept, self._step)
        if len(starts) > 1:
            # They are read once for all pieces.
            key = (f"read-{self._name}", len(self.reads))
            self.reads.append(partition.task(_kept_rows, self._recipe, key))
            partition = LazyRows(_same, (self.reads[-1],))
        for start in starts:
            part = (start, start + self._step) if len(starts) > 1 else None
            self.tasks.append(partition.task(partial(_encode, part), self._recipe, self._key()))
            self.lengths.append(min(self._step, n_kept - start))

    def _key(self) -> tuple[str, int]:
        return (f"encode-{self._name}", len(self.tasks))


def _encode(
    part: tuple[int, int] | None, recipe: Recipe, rows: Rows | CleanRows
) -> tuple[Any, Any, Any]:
    if isinstance(rows, CleanRows):
        clean = rows if part is None else rows.part(*part)
        return (*recipe.encode_clean(clean), clean.hashes)
    if part is None:
        encoded = recipe.encode(rows.table, rows.file, rows.duplicates, hashed=True)
    else:  # rows that no policy leaves out
        table = rows.table.slice(part[0], part[1] - part[0])
        encoded = recipe.encode(table, rows.file, hashed=True)
    return encoded.X, encoded.y, encoded.hashes


def _kept_rows(recipe: Recipe, rows: Rows | CleanRows) -> Rows | CleanRows:
    if isinstance(rows, CleanRows) or not recipe.may_drop:
        return rows
    kept = recipe.kept(rows.table, rows.file, rows.duplicates)
    return Rows(kept, rows.file, rows.unit, rows.n_units)


def _same(rows: Rows | CleanRows) -> Rows | CleanRows:
    return rows


def in_one_layer(pieces: Sequence[Delayed], reads: Sequence[Delayed] = ()) -> list[Delayed]:
    """Return the same tasks as one layer of a graph.

    Each task that ``delayed`` makes is a layer of its own, and for each run of blocks Dask looks at
    all layers. With one layer, the time for a run does not grow with the number of partitions.

    Parameters
    ----------
    pieces : sequence of Delayed
        The tasks to return.
    reads : sequence of Delayed
        Tasks that they need, for the same layer.
    """
    merged = HighLevelGraph.merge(*(piece.dask for piece in pieces))
    own = {each.key for each in (*pieces, *reads)}
    name = f"pieces-{uuid.uuid4().hex}"
    layers = {key: layer for key, layer in merged.layers.items() if key not in own}
    dependencies = {key: merged.dependencies[key] for key in layers}
    dependencies[name] = {other for key in own for other in merged.dependencies[key]} - own
    tasks = {key: task for each in own for key, task in merged.layers[each].items()}
    graph = HighLevelGraph({**layers, name: MaterializedLayer(tasks)}, dependencies)
    return [Delayed(piece.key, graph, layer=name) for piece in pieces]


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
