"""The scratch files of a shuffle: the rows of each old block, grouped by their new block.

There is one file for each array and old block. A group holds the rows for one new block, in the
order of the new blocks, and then a checksum. Dense rows are stored as they are in memory. A group
of sparse rows begins with the number of entries of each row; then come the column numbers of all
entries, and their values.

Two matrices of all old blocks by all new blocks tell where a group begins: the rows of each group,
and the entries of each group of sparse rows. Both are files, too: tasks read the part that they
need, instead of being sent all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from storage.errors import BlockTooLarge, DatasetCorrupt
from storage.local_files import LocalFiles, fill
from storage.random_order import Counts, collect_order, deal_order
from storage.sparse_rows import is_sparse, rows_of_entries
from storage.store import Bytes

__all__ = ["CollectRows", "DealRows", "write_counts", "write_entries"]

_COUNTS, _ENTRIES = "counts", "entries"
_CHECKSUM = 4
#: Types of the number of entries of a row, and of the column number of an entry.
_LENGTH, _INDEX = np.dtype("<u4"), np.dtype("<i4")


def write_counts(folder: str, counts: Counts) -> None:
    """Write the number of rows that each old block (row) sends to each new block (column)."""
    counts.tofile(f"{folder}/{_COUNTS}")


def write_entries(folder: str, entries: Sequence[Counts]) -> None:
    """Write what :class:`DealRows` has returned for the old blocks of a sparse array."""
    np.stack(entries).tofile(f"{folder}/{_ENTRIES}")


@dataclass(frozen=True)
class DealRows:
    """Writes the rows of one block of each array to scratch files.

    Memory: the block, and a copy of the rows of one array in another order. Reading sparse rows
    takes more: see :meth:`~storage.blocks.BlockReader.read_block_into`.

    Attributes
    ----------
    folder : str
        Folder of the scratch files, in which :func:`write_counts` has written.
    seed : int
        Seed of the order.
    names : tuple of str
        Names of the arrays.
    """

    folder: str
    seed: int
    names: tuple[str, ...]

    def __call__(self, block: int, *arrays: Any) -> Counts | None:
        """Write one block; return the entries of each group of sparse rows, if there are any."""
        order = deal_order(self.seed, block, arrays[0].shape[0])
        ends = np.cumsum(_matrix(self.folder, _COUNTS)[block])
        entries = None
        for name, rows in zip(self.names, arrays, strict=True):
            dealt = rows[order]
            parts: list[bytes | memoryview] = []
            for start, stop in pairwise([0, *ends.tolist()]):
                content = _content(dealt, start, stop)
                parts += [each.data for each in content]
                parts.append(_checksum(content).to_bytes(_CHECKSUM, "little"))
            LocalFiles(self.folder).write(f"{name}.{block}", parts)
            if is_sparse(dealt):
                entries = np.diff(dealt.indptr[ends].astype(np.int64), prepend=0)
        return entries


@dataclass(frozen=True)
class CollectRows:
    """Reads the rows of one array that were dealt to one new block, in random order.

    Memory: twice the block, which may have more entries than any old one if its rows are sparse.

    Attributes
    ----------
    folder : str
        Folder of the scratch files.
    seed : int
        Seed of the order.
    name : str
        Name of the array.
    dtype : dtype
        Type of its values.
    row_shape : tuple of int
        Shape of a row.
    sparse : bool
        Whether the rows are sparse.
    """

    folder: str
    seed: int
    name: str
    dtype: np.dtype[np.generic]
    row_shape: tuple[int, ...]
    sparse: bool

    def __call__(self, block_id: tuple[int, ...]) -> Any:
        """Return the rows of one new block: an ndarray, or a CSR array if they are sparse."""
        block = block_id[0]
        try:
            rows = self._sparse_rows(block) if self.sparse else self._dense_rows(block)
            return rows[collect_order(self.seed, block, rows.shape[0])]
        except MemoryError as error:
            raise BlockTooLarge(
                f"block {block} of array {self.name!r} in its new order does not fit into memory: "
                f"use a machine with more memory, or store the data set that is shuffled with a "
                f"smaller block_nbytes"
            ) from error

    def _dense_rows(self, block: int) -> Any:
        counts = _matrix(self.folder, _COUNTS)
        rows = np.empty((int(counts[:, block].sum()), *self.row_shape), self.dtype)
        row_nbytes = self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64))
        before = row_nbytes * counts[:, :block].sum(axis=1)
        for source, group in enumerate(_runs(counts[:, block])):
            self._read(source, block, int(before[source]), [rows[group]])
        return rows

    def _sparse_rows(self, block: int) -> Any:
        counts, entries = (_matrix(self.folder, name) for name in (_COUNTS, _ENTRIES))
        n_entries = int(entries[:, block].sum())
        lengths = np.empty(int(counts[:, block].sum()), _LENGTH)
        indices, values = np.empty(n_entries, _INDEX), np.empty(n_entries, self.dtype)
        entry_nbytes = _INDEX.itemsize + self.dtype.itemsize
        before = _LENGTH.itemsize * counts[:, :block].sum(axis=1)
        before += entry_nbytes * entries[:, :block].sum(axis=1)
        groups = zip(_runs(counts[:, block]), _runs(entries[:, block]), strict=True)
        for source, (group, run) in enumerate(groups):
            content = [lengths[group], indices[run], values[run]]
            self._read(source, block, int(before[source]), content)
        return rows_of_entries(values, indices, lengths, self.row_shape[0])

    def _read(
        self, source: int, block: int, before: int, out: Sequence[npt.NDArray[np.generic]]
    ) -> None:
        """Read a group; `before` are the bytes of the groups before it, without checksums."""
        path = f"{self.folder}/{self.name}.{source}"
        content = [_bytes_of(each) for each in out]
        trailer = np.empty(_CHECKSUM, np.uint8)
        # Without a buffer, which would read up to 8 KiB more for each of the many groups of rows.
        with open(path, "rb", buffering=0) as file:
            file.seek(before + block * _CHECKSUM)
            n_read = sum(fill(file.fileno(), part) for part in (*content, trailer))
        checksum = int.from_bytes(trailer.tobytes(), "little")
        nbytes = sum(part.size for part in content) + _CHECKSUM
        if n_read < nbytes or _checksum(content) != checksum:
            raise DatasetCorrupt(f"{path}, written a moment ago, is damaged: shuffle again")


def _content(rows: Any, start: int, stop: int) -> list[Bytes]:
    """Return the bytes of a group of rows, without copies of dense rows and of entries."""
    if not is_sparse(rows):
        return [_bytes_of(rows[start:stop])]
    first, last = int(rows.indptr[start]), int(rows.indptr[stop])
    return [
        _bytes_of(np.diff(rows.indptr[start : stop + 1]).astype(_LENGTH)),
        _bytes_of(rows.indices[first:last].astype(_INDEX, copy=False)),
        _bytes_of(rows.data[first:last]),
    ]


def _bytes_of(values: npt.NDArray[Any]) -> Bytes:
    return values.reshape(-1).view(np.uint8)


def _checksum(content: Sequence[Bytes]) -> int:
    checksum = 0
    for part in content:
        checksum = int(google_crc32c.extend(checksum, part))
    return checksum


def _runs(sizes: Counts) -> Iterator[slice]:
    """Return consecutive slices of these sizes."""
    return (slice(start, stop) for start, stop in pairwise([0, *np.cumsum(sizes).tolist()]))


def _matrix(folder: str, name: str) -> Counts:
    # Not np.load, which would read up to 16 KiB for the header in each task.
    numbers = np.memmap(f"{folder}/{name}", np.int64, "r")
    n_blocks = math.isqrt(numbers.size)
    return np.asarray(numbers).reshape(n_blocks, n_blocks)
