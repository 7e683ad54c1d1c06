"""The row grid of one stored array: which rows each chunk holds, and in which file it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np
import numpy.typing as npt

__all__ = [
    "ARRAYS",
    "BLOCK_NBYTES",
    "CHUNK_NBYTES",
    "FIRST_FOLDER",
    "HASHES",
    "MAX_CHUNK_NBYTES",
    "MAX_SIZE",
    "ArrayLayout",
    "plan_rows",
    "row_chunks",
    "side_chunk_rows",
]

#: Name of the array with the hashes of values that no two rows may share. It holds no data of the
#: rows: only an append reads it.
HASHES = "hashes"

#: Names of the arrays of a data set. The last two are optional.
ARRAYS = ("X", "y", "sample_weight", HASHES)

# Measured with one thread, float32 and a warm page cache: from 2 to 16 MiB reading is equally fast
# within the noise; at 1 MiB it is 20 to 50 % slower. Among the fast sizes a small one needs less
# memory beside the block, and a damaged chunk costs fewer rows.
CHUNK_NBYTES = 4 * 2**20
BLOCK_NBYTES = 32 * 2**20

#: Largest size of a chunk: Blosc stores sizes in 32 bits.
MAX_CHUNK_NBYTES = 2**31 - 2**16

#: Limit of a number of rows or columns: positions of rows and bytes must fit into 64 bits.
MAX_SIZE = 2**47

#: Folder of spare files of version 1.
FIRST_FOLDER = "version-1"

# Chunks of more rows than this have a multiple of it, so that a chunk is a whole number of vector
# registers for any number of columns.
_ROW_MULTIPLE = 64

# Bytes of a sparse row without entries: its length.
_LENGTH_NBYTES = 4


@dataclass(frozen=True)
class ArrayLayout:
    """How the rows of one array are cut into chunks. A chunk spans all columns.

    Attributes
    ----------
    name : str
        Name of the array in its Zarr group.
    dtype : str
        NumPy's name of the dtype, e.g. ``"float32"``; stored little endian.
    n_rows : int
        Rows of the array.
    row_shape : tuple of int
        Shape of one row: ``(p,)`` for X, ``()`` for a column.
    chunk_rows : int
        Rows of each chunk; the last may hold fewer, padded in storage with the fill value.
    spare_folders : tuple of (int, str)
        Number of a chunk, and the folder of spare files from this chunk on, sorted. See
        :meth:`spare_key`.
    sparse : bool
        Whether rows are those of a sparse matrix, with values of this dtype. In its Zarr group the
        array then has one dimension: an element is the bytes of one row.
    """

    name: str
    dtype: str
    n_rows: int
    row_shape: tuple[int, ...]
    chunk_rows: int
    spare_folders: tuple[tuple[int, str], ...] = ((0, FIRST_FOLDER),)
    sparse: bool = False

    @property
    def stored_dtype(self) -> np.dtype[np.generic]:
        """The dtype inside a chunk: little endian on every machine."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (self.n_rows, *self.row_shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of the whole array in its Zarr group."""
        return (self.n_rows,) if self.sparse else self.shape

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of one stored chunk, padding included."""
        return (self.chunk_rows,) if self.sparse else (self.chunk_rows, *self.row_shape)

    @property
    def row_nbytes(self) -> int:
        """Decoded bytes of one row."""
        return prod(self.row_shape) * np.dtype(self.dtype).itemsize

    @property
    def row_nbytes_as_floats(self) -> int:
        """Bytes of one row as the floats that estimators compute with: float32, else float64."""
        return prod(self.row_shape) * (4 if self.dtype == "float32" else 8)

    @property
    def chunk_nbytes(self) -> int:
        """Decoded bytes of one stored chunk, padding included; of sparse rows, the fewest."""
        return self.chunk_rows * (_LENGTH_NBYTES if self.sparse else self.row_nbytes)

    @property
    def nbytes(self) -> int:
        """Decoded bytes of the array, without padding."""
        return self.n_rows * self.row_nbytes

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return ceil(self.n_rows / self.chunk_rows)

    @property
    def fill_value(self) -> float | int | bool:
        """The value that pads the last chunk: NaN if the dtype has one, since 0 may be a value."""
        kind = np.dtype(self.dtype).kind
        return float("nan") if kind == "f" else False if kind == "b" else 0

    def with_chunk_rows(self, chunk_rows: int) -> ArrayLayout:
        """Return the layout of the same array with `chunk_rows` rows in each chunk."""
        return replace(self, chunk_rows=chunk_rows)

    def rows_of(self, chunk: int) -> tuple[int, int]:
        """Return the first row of a chunk, and the row after its last row."""
        start = chunk * self.chunk_rows
        return start, min(start + self.chunk_rows, self.n_rows)

    def chunks_of(self, start: int, stop: int) -> range:
        """Return the chunks of the rows `start` (the first row of a chunk) to `stop` (excluded)."""
        return range(start // self.chunk_rows, ceil(stop / self.chunk_rows))

    def file_name(self, chunk: int) -> str:
        """Return Zarr's key of a chunk inside the array (key encoding "default", separator ".").

        The separator keeps all chunks of an array in one folder; Zarr's default "/" would make
        a folder for each chunk.
        """
        return ".".join(["c", str(chunk), *("0" for _ in self.stored_shape[1:])])

    def key(self, chunk: int) -> str:
        """Return the path of the chunk's file, relative to the data set."""
        return f"{self.name}/{self.file_name(chunk)}"

    def spare_key(self, chunk: int) -> str:
        """Return the path of the chunk's spare file, relative to the data set.

        A chunk has one if it was appended and is not yet under its key, or if it was the last chunk
        of a version, and the next version filled it up. See :mod:`storage.versions`.
        """
        first = [first for first, _ in self.spare_folders]
        _, folder = self.spare_folders[bisect_right(first, chunk) - 1]
        return f"{folder}/{self.name}.{self.file_name(chunk)}"

    def empty_rows(
        self,
        n_rows: int,
        columns: Sequence[int] | None = None,
        empty: Callable[..., npt.NDArray[np.generic]] = np.empty,
    ) -> npt.NDArray[np.generic]:
        """Return an uninitialised array for `n_rows` rows of these columns; None means all."""
        row_shape = self.row_shape if columns is None else (len(columns),)
        return empty((n_rows, *row_shape), self.stored_dtype)


def plan_rows(
    n_rows: int, x_row_nbytes: int, row_nbytes: int, *, chunk_nbytes: int, block_nbytes: int
) -> tuple[int, int]:
    """Return the rows of a chunk of X, and the rows of a block (a whole number of chunks).

    Parameters
    ----------
    n_rows : int
        Rows of the data set.
    x_row_nbytes : int
        Decoded bytes of one row of X.
    row_nbytes : int
        Bytes of one row of a block: X as floats, and the other arrays.
    chunk_nbytes, block_nbytes : int
        Largest sizes of a chunk of X and of a block, in bytes. A chunk has at least one row, and a
        block at least one chunk, even if these are larger.

    Returns
    -------
    chunk_rows, block_rows : int
        At least one row, at most `n_rows` rounded up to whole chunks.
    """
    chunk_rows = min(_round_down(chunk_nbytes // x_row_nbytes), n_rows)
    if chunk_rows * x_row_nbytes > MAX_CHUNK_NBYTES:
        raise ValueError(
            f"one chunk of {chunk_rows} rows of X would take {chunk_rows * x_row_nbytes:,} bytes, "
            f"more than the compressor's {MAX_CHUNK_NBYTES:,}: ask for a smaller chunk_nbytes, "
            f"or store fewer columns"
        )
    per_block = max(1, block_nbytes // (chunk_rows * row_nbytes))
    return chunk_rows, chunk_rows * min(per_block, ceil(n_rows / chunk_rows))


def side_chunk_rows(chunk_rows: int, block_rows: int, row_nbytes: int, chunk_nbytes: int) -> int:
    """Return the rows of a chunk of y, sample_weight or the hashes.

    There is one chunk for each block: with as many chunks as X, a column would be thousands of tiny
    files. But if the rows of X are so short that one block of the column would be larger than
    `chunk_nbytes`, the column has the same chunks as X.
    """
    return block_rows if block_rows * row_nbytes <= chunk_nbytes else chunk_rows


def row_chunks(
    layout: ArrayLayout, block_rows: int, first_row: int = 0
) -> tuple[tuple[int, ...], ...]:
    """Return Dask's `chunks` of the rows from `first_row` on, which are cut into blocks."""
    starts = range(first_row - first_row % block_rows, layout.n_rows, block_rows)
    rows = tuple(min(start + block_rows, layout.n_rows) - max(start, first_row) for start in starts)
    return (rows, *((size,) for size in layout.row_shape))


def _round_down(rows: int) -> int:
    return max(1, rows if rows < _ROW_MULTIPLE else rows - rows % _ROW_MULTIPLE)
