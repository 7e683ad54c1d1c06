"""A stored array as a Dask array: one task a block, no task shared between blocks."""

from __future__ import annotations

import os
from dataclasses import dataclass

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockIdDep

from storage.chunks import read_chunk
from storage.errors import ChunkCorrupt, DatasetReplaced
from storage.layout import ArrayLayout, row_chunks
from storage.manifest import MANIFEST, identity_line

__all__ = ["BlockReader", "block_array"]


@dataclass(frozen=True)
class BlockReader:
    """Loads a block of one array; small to pickle, and all that a task needs beside the index.

    Attributes
    ----------
    root : str
        Folder of the data set.
    dataset_id : str
        Identity of the data set when it was opened.
    layout : ArrayLayout
        The array.
    block_rows : int
        Rows of a block, a whole number of chunks.
    """

    root: str
    dataset_id: str
    layout: ArrayLayout
    block_rows: int

    def __call__(self, block_id: tuple[int, ...]) -> npt.NDArray[np.generic]:
        """Rows of one block, all columns.

        Memory: the block, and for each thread the bytes of one stored chunk.

        Raises
        ------
        ChunkCorrupt
            When a chunk of the block is not as it was written.
        DatasetReplaced
            When the data set was overwritten since it was opened.
        """
        layout = self.layout
        start = block_id[0] * self.block_rows
        stop = min(start + self.block_rows, layout.n_rows)
        block = layout.empty_rows(stop - start)
        try:
            for chunk in layout.chunks_of(start, stop):
                first, last = layout.rows_of(chunk)
                read_chunk(self.root, layout, chunk, block[first - start : last - start])
        except ChunkCorrupt:
            self.check_identity()
            raise
        # After the last file was opened: an overwrite swaps the whole folder in one step, so
        # if the folder is still ours now, every file was.
        self.check_identity()
        return block

    def check_identity(self) -> None:
        """Raise DatasetReplaced unless the data set on disk is still the one that was opened."""
        expected = identity_line(self.dataset_id)
        try:
            descriptor = os.open(f"{self.root}/{MANIFEST}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            found = None
        else:
            try:
                found = os.read(descriptor, len(expected))
            finally:
                os.close(descriptor)
        if found != expected:
            raise DatasetReplaced(
                f"{self.root} was overwritten, moved or deleted after it was opened: open it "
                f"again with storage.open_dataset"
            )


def block_array(reader: BlockReader) -> da.Array:
    """Dask array of the reader's blocks.

    The graph is symbolic (one Blockwise layer however many blocks), so it pickles small and
    Dask fuses row-wise operations into the loading task. Names follow from the data set's
    identity: opened twice, it is the same array to a cluster.
    """
    layout = reader.layout
    chunks = row_chunks(layout, reader.block_rows)
    name = f"load-{layout.name}-{reader.dataset_id}"
    axes = tuple(range(len(chunks)))
    layer = blockwise(
        reader,
        name,
        axes,
        ArrayBlockIdDep(chunks),
        axes,
        numblocks={},
    )
    graph = HighLevelGraph.from_collections(name, layer)
    meta = np.empty((0,) * len(chunks), dtype=layout.dtype)
    return da.Array(graph, name, chunks=chunks, meta=meta)
