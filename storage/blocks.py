"""A stored array as a Dask array: one task for each block, no task shared between blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.blockwise import BlockwiseDep, blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.tokenize import tokenize

from storage.chunks import read_chunks, read_sparse_chunks
from storage.entries import ChunkEntries, expected_of, pack_expected
from storage.errors import BlockTooLarge, ChunkCorrupt, DatasetReplaced
from storage.layout import ArrayLayout, row_chunks
from storage.manifest import MANIFEST
from storage.manifest_text import identity_line
from storage.sparse_rows import as_csr
from storage.store import Store

__all__ = ["BlockReader", "ExpectedChunks", "block_array"]

_ENTRY_NBYTES = 8


@dataclass(frozen=True)
class BlockReader:
    """Loads any block of one array. Its pickle is small, and one reader serves all blocks.

    Attributes
    ----------
    store : Store
        Files of the data set.
    dataset_id : str
        Identity of the data set when it was opened.
    layout : ArrayLayout
        The array.
    block_rows : int
        Rows of a block, a whole number of chunks.
    columns : tuple of int or None
        Columns to keep, in this order; None for all. A chunk spans all columns, so all are read
        and decoded, one chunk at a time.
    version : int
        Number of the version that was opened.
    """

    store: Store
    dataset_id: str
    layout: ArrayLayout
    block_rows: int
    columns: tuple[int, ...] | None = None
    version: int = 1

    def __call__(self, block: tuple[int, bytes]) -> Any:
        """Return the rows of one block, in new memory; see :meth:`read_block_into`."""
        return self.read_block_into(block, np.empty)

    def read_block_into(self, block: tuple[int, bytes], empty: Callable[..., Any]) -> Any:
        """Return the rows of one block: an ndarray, or a CSR array if they are sparse.

        Memory: the block, and for each thread the bytes of one stored chunk (from an object store,
        of all chunks of the block). If columns are chosen, also one decoded chunk (from an object
        store two). A block of sparse rows takes twice its own memory while its chunks are joined.

        Parameters
        ----------
        block : tuple of int and bytes
            Number of the block, and the entry of :class:`ExpectedChunks` for its chunks.
        empty : callable
            ``empty(shape, dtype) -> ndarray`` returns the memory for dense rows.

        Raises
        ------
        ChunkCorrupt
            When a chunk of the block is not the one that the manifest listed when the data set was
            opened.
        DatasetReplaced
            When the data set was overwritten since it was opened.
        BlockTooLarge
            When the memory for the block cannot be allocated.
        """
        layout = self.layout
        index, expected = block
        start = index * self.block_rows
        stop = min(start + self.block_rows, layout.n_rows)
        try:
            values = self._read(start, stop, expected_of(expected), empty)
        except ChunkCorrupt:
            self.check_identity()
            raise
        # Check after the last file was opened: an overwrite swaps the whole folder in one step. If
        # the folder still holds this data set now, all files came from it. In an object store the
        # checksums would show files of another data set.
        if self.store.identity() is not None:
            self.check_identity()
        return values

    def _read(
        self,
        start: int,
        stop: int,
        expected: Sequence[tuple[int, int]],
        empty: Callable[..., Any],
    ) -> Any:
        layout = self.layout
        chunks = layout.chunks_of(start, stop)
        if layout.sparse:
            try:
                return read_sparse_chunks(self.store, layout, chunks, expected, self.columns)
            except MemoryError as error:
                raise self._too_large(start, stop) from error
        values = self._empty(start, stop, empty)
        read_chunks(self.store, layout, chunks, expected, values, self.columns)
        return values

    def _empty(self, start: int, stop: int, empty: Callable[..., Any]) -> npt.NDArray[np.generic]:
        try:
            return self.layout.empty_rows(stop - start, self.columns, empty)
        except (MemoryError, ValueError) as error:  # NumPy raises both for sizes beyond its limits
            raise self._too_large(start, stop) from error

    def _too_large(self, start: int, stop: int) -> BlockTooLarge:
        return BlockTooLarge(
            f"rows {start} to {stop - 1} of array {self.layout.name!r} of "
            f"{self.store.location} are one block, which does not fit into memory: use a "
            f"machine with more memory, or write the data set with a smaller block_nbytes"
        )

    def check_identity(self) -> None:
        """Raise DatasetReplaced unless the data set on disk is still the one that was opened."""
        expected = identity_line(self.dataset_id)
        try:
            found = self.store.read_start(MANIFEST, len(expected))
        except FileNotFoundError:
            found = None
        if found != expected:
            raise DatasetReplaced(
                f"{self.store.location} was overwritten, moved or deleted after it was opened: "
                f"open it again with storage.open_dataset"
            )


class ExpectedChunks(BlockwiseDep):
    """Gives each task the number of its block, and size and checksum of each chunk of the block.

    A task is sent only the manifest's entries of its own chunks, eight bytes for each chunk. The
    entries are those of the data set when it was opened, even if other files are on the disk when
    the task runs.

    Parameters
    ----------
    reader : BlockReader
        Reader of the blocks.
    entries : ChunkEntries
        All chunks of the array.
    """

    produces_tasks = False

    def __init__(self, reader: BlockReader, entries: ChunkEntries) -> None:
        layout = reader.layout
        self.numblocks = tuple(map(len, row_chunks(layout, reader.block_rows)))
        self._packed = pack_expected(entries)
        self._block_nbytes = reader.block_rows // layout.chunk_rows * _ENTRY_NBYTES

    def __getitem__(self, idx: tuple[int, ...]) -> tuple[int, bytes]:
        start = idx[0] * self._block_nbytes
        return idx[0], self._packed[start : start + self._block_nbytes]

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return type(self).__name__, self.numblocks, self._packed


def block_array(reader: BlockReader, entries: ChunkEntries) -> DaskArray:
    """Return a Dask array of the reader's blocks; `entries` are those of all chunks of the array.

    The graph is symbolic: one Blockwise layer for any number of blocks. So its pickle is small, and
    Dask fuses row-wise operations into the loading task. The names of the tasks depend only on the
    data set's identity, its version and the chosen columns: a data set that is opened twice is the
    same array to a cluster.
    """
    layout = reader.layout
    chunks = row_chunks(layout, reader.block_rows)
    name = f"load-{layout.name}-{reader.dataset_id}"
    if reader.version > 1:
        name = f"{name}-version-{reader.version}"
    if reader.columns is not None:
        chunks = (chunks[0], (len(reader.columns),))
        name = f"{name}-{tokenize(reader.columns)}"
    axes = tuple(range(len(chunks)))
    layer = blockwise(
        reader,
        name,
        axes,
        ExpectedChunks(reader, entries),
        axes,
        numblocks={},
    )
    graph = HighLevelGraph.from_collections(name, layer)
    meta: Any = np.empty((0,) * len(chunks), dtype=layout.dtype)
    if layout.sparse:
        meta = as_csr(meta, layout.name)
    return DaskArray(graph, name, chunks=chunks, meta=meta)
