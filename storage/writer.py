"""Write arrays with any chunks, so that exactly one task writes each stored chunk.

Arrays are first rechunked to the blocks. Then one task for each block writes the chunks of the
block, so two tasks never write the same file. (If chunks do not match, ``dask.array.to_zarr``
writes parts of one chunk from several tasks, and loses some.)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks
from dask.highlevelgraph import HighLevelGraph
from dask.optimization import cull
from dask.system import CPU_COUNT

from storage.chunk_files import write_chunk
from storage.chunks import read_chunks, read_sparse_chunks
from storage.computing import compute
from storage.digits import loses_digits
from storage.entries import ChunkEntries, StoredChunk
from storage.inputs import Array
from storage.layout import ArrayLayout, row_chunks
from storage.progress import Stage, stage
from storage.promises import as_promised
from storage.sparse_rows import as_csr, is_sparse, stacked
from storage.store import Store

__all__ = ["BlockWriter", "Finished", "LastChunk", "write_arrays"]

#: The manifest's entries of written blocks, by array and by the number of the block.
Finished: TypeAlias = Mapping[str, Mapping[int, Sequence[StoredChunk]]]


@dataclass(frozen=True)
class LastChunk:
    """The last chunk of an array, which is not full: appended rows fill it up.

    Attributes
    ----------
    layout : ArrayLayout
        The array before the append.
    nbytes, checksum : int
        The manifest's entry of the chunk.
    """

    layout: ArrayLayout
    nbytes: int
    checksum: int

    def followed_by(self, rows: Any, store: Store) -> Any:
        """Return the rows of the chunk, which are compared with the manifest, and then `rows`."""
        chunk = self.layout.n_chunks - 1
        expected = [(self.nbytes, self.checksum)]
        if self.layout.sparse:
            return stacked([read_sparse_chunks(store, self.layout, [chunk], expected), rows])
        start, stop = self.layout.rows_of(chunk)
        before = self.layout.empty_rows(stop - start)
        read_chunks(store, self.layout, [chunk], expected, before)
        return np.concatenate([before, rows])


@dataclass(frozen=True)
class BlockWriter:
    """Writes the chunks of one block of one array.

    Attributes
    ----------
    store : Store
        Files of the data set.
    layout : ArrayLayout
        The array.
    block_rows : int
        Rows of a block, a whole number of chunks.
    durable : bool
        Wait until the disk has each chunk.
    n_codes : int or None
        If given, values must be integer codes below this number.
    blocks : tuple of int or None
        Numbers of the blocks to write, if some are not written; None means all.
    first_row : int
        First row to write. Rows before it are stored already.
    last_chunk : LastChunk or None
        The chunk of the row before `first_row`, if `first_row` is inside this chunk.
    spare : bool
        Write the spare files of the chunks: see :meth:`ArrayLayout.spare_key`.
    """

    store: Store
    layout: ArrayLayout
    block_rows: int
    durable: bool = False
    n_codes: int | None = None
    blocks: tuple[int, ...] | None = None
    first_row: int = 0
    last_chunk: LastChunk | None = None
    spare: bool = False

    def __call__(self, values: Any, block_id: tuple[int, ...]) -> npt.NDArray[np.object_]:
        """Write one block; return its chunks' manifest entries as a one-element array.

        Memory: the block, and one more chunk, decoded and encoded.
        """
        number = block_id[0] if self.blocks is None else self.blocks[block_id[0]]
        start, stop = self.rows_of(number)
        block = self.checked(values, start, stop)
        entries = [
            write_chunk(
                self.store,
                self.layout,
                chunk,
                self._rows_of_chunk(block, start, chunk),
                key=self.layout.spare_key(chunk) if self.spare else self.layout.key(chunk),
                durable=self.durable,
            )
            for chunk in self.layout.chunks_of(start, stop)
        ]
        result = np.empty((1,) * block.ndim, dtype=object)
        result.flat[0] = entries
        return result

    def rows_of(self, block: int) -> tuple[int, int]:
        """Return the first row of a block, counted from the first written one, and its end."""
        first = self.first_row // self.block_rows + block
        start = max(first * self.block_rows, self.first_row)
        return start, min((first + 1) * self.block_rows, self.layout.n_rows)

    def _rows_of_chunk(self, block: Any, start: int, chunk: int) -> Any:
        rows = self.converted(block, start, chunk)
        if self.last_chunk is None or self.layout.rows_of(chunk)[0] >= self.first_row:
            return rows
        return self.last_chunk.followed_by(rows, self.store)

    def checked(self, values: Any, start: int, stop: int) -> Any:
        """Check the values that were computed: a Dask array only promises their shape and dtype."""
        where = f"rows {start} to {stop - 1} of {self.layout.name}"
        if self.layout.sparse and is_sparse(values):
            values = as_csr(values, where)
        elif (
            self.layout.sparse
            or isinstance(values, np.ma.MaskedArray)
            or not isinstance(values, np.ndarray)
        ):
            wanted = "sparse matrix" if self.layout.sparse else "NumPy array"
            raise TypeError(f"{where} came as {type(values).__name__}, not as a {wanted}")
        if values.shape != (stop - start, *self.layout.row_shape):
            raise ValueError(
                f"{where} came with shape {values.shape} where the Dask array promised "
                f"{(stop - start, *self.layout.row_shape)}: its chunks are declared wrongly, or "
                f"its length changes from one computation to the next"
            )
        if not np.can_cast(values.dtype, self.layout.dtype, casting="same_kind"):
            raise TypeError(
                f"{where} came with dtype {values.dtype}, which does not convert to "
                f"{self.layout.dtype}"
            )
        return values

    def converted(self, block: Any, start: int, chunk: int) -> Any:
        """Return the rows of a chunk in the stored dtype, from a block that begins at `start`."""
        first, stop = self.layout.rows_of(chunk)
        first = max(first, start)
        rows = block[first - start : stop - start]
        where = f"rows {first} to {stop - 1} of {self.layout.name}"
        self._check_digits(rows, first)
        try:
            with np.errstate(over="raise"):
                if self.layout.sparse:
                    return rows.astype(np.dtype(self.layout.dtype), copy=False)
                stored = rows.astype(self.layout.stored_dtype, order="C", copy=False)
        except FloatingPointError:
            raise ValueError(
                f"{where} hold values too large for {self.layout.dtype}: ask for dtype='float64'"
            ) from None
        if self.n_codes is not None:
            self._check_codes(stored, where)
        if self.layout.name == "sample_weight":
            self._check_weights(stored, first)
        return stored

    def _check_digits(self, rows: Any, first: int) -> None:
        values = rows.data if self.layout.sparse else rows
        lost = loses_digits(values, np.dtype(self.layout.dtype))
        if lost is not None:
            value = values[lost]
            if self.layout.sparse:
                row = int(np.searchsorted(rows.indptr, lost[0], side="right")) - 1
                lost = (row, int(rows.indices[lost[0]]))
            column = f", column {lost[1]}" if len(lost) > 1 else ""
            raise ValueError(
                f"row {first + lost[0]}{column} of {self.layout.name} is {value}, which "
                f"float64 would round: integers above 2**53 lose digits. Subtract an offset, "
                f"split it into two columns, or round it yourself with astype(float)"
            )

    def _check_weights(self, weights: npt.NDArray[np.generic], first: int) -> None:
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= np.float32(0))))
        if bad.size:
            raise ValueError(
                f"sample_weight of row {first + int(bad[0])} is {weights[bad[0]]}: weights must "
                f"be finite numbers, 0 or more"
            )

    def _check_codes(self, codes: npt.NDArray[np.generic], where: str) -> None:
        lowest, highest = int(np.min(codes)), int(np.max(codes))
        if lowest < 0 or highest >= (self.n_codes or 0):
            raise ValueError(
                f"{where} hold codes {lowest} to {highest}, but with {self.n_codes} classes they "
                f"must be 0 to {(self.n_codes or 0) - 1}: y == i means classes[i]"
            )


def write_arrays(
    arrays: Mapping[str, Array],
    writers: Mapping[str, BlockWriter],
    finished: Finished | None = None,
    at_once: int | None = None,
) -> dict[str, ChunkEntries]:
    """Write the chunks of all arrays; return the manifest's entries of each array.

    `finished` has the entries of blocks that are written already, by array and number. Dask does
    not compute these blocks.

    NumPy arrays are written by threads of this process, which already has their bytes. Dask arrays
    are written where Dask computes, on the active cluster or on threads, in one computation, so
    that tasks that X and y have in common run once.

    `at_once` limits the number of blocks that one computation writes; the next computation begins
    when all of them are written. Dask does not compute blocks in the order of their numbers, so
    the more blocks a computation has, the more rows wait for the other rows of their block. A task
    that blocks of two computations have in common runs twice.
    """
    entries: dict[str, dict[int, Sequence[StoredChunk]]] = {
        name: dict((finished or {}).get(name, {})) for name in arrays
    }
    lazy: dict[str, DaskArray] = {}
    n_blocks = _n_blocks(writers[next(iter(arrays))])  # the same for all arrays
    n_written = sum(map(len, entries.values()))
    with stage("write", n_blocks * len(arrays), n_written) as progress:
        for name, array in arrays.items():
            missing = tuple(block for block in range(n_blocks) if block not in entries[name])
            writers = {**writers, name: replace(writers[name], blocks=missing)}
            if not isinstance(array, DaskArray):
                entries[name] |= _write_numpy(array, writers[name], progress)
            elif missing:
                lazy[name] = _writing(array, writers[name])
        for name, found in _write_lazy(lazy, writers, at_once or n_blocks, progress):
            entries[name] |= found
    return {
        name: ChunkEntries.from_chunks(
            chunk for block in sorted(entries[name]) for chunk in entries[name][block]
        )
        for name in arrays
    }


def _n_blocks(writer: BlockWriter) -> int:
    return len(row_chunks(writer.layout, writer.block_rows, writer.first_row)[0])


def _write_lazy(
    lazy: Mapping[str, DaskArray],
    writers: Mapping[str, BlockWriter],
    at_once: int,
    progress: Stage,
) -> Iterator[tuple[str, Iterator[tuple[int, Sequence[StoredChunk]]]]]:
    """Compute what :func:`_writing` has returned; yield the entries of blocks of each array."""
    n_blocks = max((_n_blocks(writers[name]) for name in lazy), default=0)
    # Dask looks at all tasks of a graph of layers to find those of a run, in plain dicts at these.
    tasks = {name: dict(writing.dask) for name, writing in lazy.items() if at_once < n_blocks}
    for start in range(0, n_blocks, at_once):
        run = range(start, start + at_once)
        parts = {
            name: _part(writing, tasks.get(name), writers[name], run)
            for name, writing in lazy.items()
        }
        results = compute(*(part for part in parts.values() if part is not None))
        progress.begin_next_part()
        written = (name for name, part in parts.items() if part is not None)
        for name, found in zip(written, results, strict=True):
            numbers = (block for block in writers[name].blocks or () if block in run)
            yield name, zip(numbers, found.flat, strict=True)


def _writing(array: DaskArray, writer: BlockWriter) -> DaskArray:
    chunks = row_chunks(writer.layout, writer.block_rows, writer.first_row)
    # Rechunking by "p2p" would write every row to disk one more time.
    blocks = as_promised(writer.layout.name, array).rechunk(chunks, method="tasks")
    assert writer.blocks is not None
    if len(writer.blocks) < len(chunks[0]):
        blocks = blocks.blocks[list(writer.blocks)]
    ones = tuple((1,) * len(sizes) for sizes in blocks.chunks)
    meta = np.empty((0,) * len(chunks), dtype=object)
    name = f"write-{writer.layout.name}-{uuid.uuid4().hex}"
    writing: DaskArray = map_blocks(writer, blocks, name=name, chunks=ones, meta=meta)
    return writing


def _part(
    writing: DaskArray, tasks: Mapping[Any, Any] | None, writer: BlockWriter, run: range
) -> DaskArray | None:
    """Return the tasks that write the missing blocks of a run; None if no block is missing.

    `tasks` are all tasks of `writing` if there are several runs.
    """
    assert writer.blocks is not None
    places = [place for place, block in enumerate(writer.blocks) if block in run]
    if len(places) == len(writer.blocks) or tasks is None:
        return writing
    if not places:
        return None
    rest = (0,) * (writing.ndim - 1)
    needed, _ = cull(tasks, [(writing.name, place, *rest) for place in places])
    graph = HighLevelGraph.from_collections(writing.name, needed)
    few = DaskArray(graph, writing.name, writing.chunks, meta=writing._meta)
    part: DaskArray = few.blocks[places]
    return part


def _write_numpy(
    array: npt.NDArray[np.generic], writer: BlockWriter, progress: Stage
) -> dict[int, Sequence[StoredChunk]]:
    # da.from_array would copy the whole array first.
    numbers = writer.blocks or ()

    def write(position: int) -> Sequence[StoredChunk]:
        start, stop = writer.rows_of(numbers[position])
        index = (position, *(0 for _ in writer.layout.row_shape))
        found: Any = writer(array[start - writer.first_row : stop - writer.first_row], index)
        entries: list[StoredChunk] = found.flat[0]
        return entries

    pool = ThreadPoolExecutor(CPU_COUNT, "write")
    try:
        entries: dict[int, Sequence[StoredChunk]] = {}
        for number, found in zip(numbers, pool.map(write, range(len(numbers))), strict=True):
            entries[number] = found
            progress.report(len(entries))
        progress.begin_next_part()
        return entries
    finally:
        # After an error, the blocks that have not started are cancelled.
        pool.shutdown(cancel_futures=True)
