"""The manifest's entries: the entry of one chunk, and the entries of an array as columns.

A data set may have a million chunks. Stored as columns, entries take a few bytes each, and opening
the data set does not create a million objects. A task that reads a block is sent eight bytes for
each of its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt

__all__ = ["ChunkEntries", "StoredChunk", "StoredFile", "expected_of", "pack_expected"]


@dataclass(frozen=True)
class StoredChunk:
    """What the manifest records of one chunk's file.

    Attributes
    ----------
    rows : int
        Rows that the chunk holds, without padding.
    nbytes : int
        Size of the file.
    checksum : int
        CRC-32C of the file without its last four bytes, which hold the same number. (The CRC of the
        whole file would be useless: any data followed by its own CRC has the same CRC.)
    n_nan : int
        Number of NaN among the chunk's values.
    nnz : int or None
        Number of stored values of sparse rows, zeros included. None if the rows are dense, or if an
        older release wrote the manifest: it did not list them.
    """

    rows: int
    nbytes: int
    checksum: int
    n_nan: int
    nnz: int | None = None


@dataclass(frozen=True)
class StoredFile:
    """What the manifest records of a file of metadata.

    Attributes
    ----------
    nbytes : int
        Size of the file.
    checksum : int
        CRC-32C of the file.
    """

    nbytes: int
    checksum: int

    @classmethod
    def of(cls, content: bytes) -> StoredFile:
        """Return the entry of a file with this content."""
        return cls(len(content), int(google_crc32c.value(content)))


@dataclass(frozen=True, eq=False)
class ChunkEntries:
    """Entries of all chunks of one array, in the order of their rows.

    Attributes
    ----------
    rows, nbytes, checksums, n_nan : ndarray of shape (n_chunks,)
        One array for each field of :class:`StoredChunk`.
    nnz : ndarray of shape (n_chunks,) or None
        The field ``nnz``; None if it is not known of all chunks.
    """

    rows: npt.NDArray[np.int64]
    nbytes: npt.NDArray[np.uint32]
    checksums: npt.NDArray[np.uint32]
    n_nan: npt.NDArray[np.int64]
    nnz: npt.NDArray[np.int64] | None = None

    @classmethod
    def from_chunks(cls, chunks: Iterable[StoredChunk]) -> ChunkEntries:
        """Return these entries as columns."""
        listed = list(chunks)
        n = len(listed)
        nnz = [chunk.nnz for chunk in listed if chunk.nnz is not None]
        return cls(
            np.fromiter((chunk.rows for chunk in listed), np.int64, n),
            np.fromiter((chunk.nbytes for chunk in listed), np.uint32, n),
            np.fromiter((chunk.checksum for chunk in listed), np.uint32, n),
            np.fromiter((chunk.n_nan for chunk in listed), np.int64, n),
            np.array(nnz, np.int64) if 0 < len(nnz) == n else None,
        )

    @classmethod
    def joined(cls, parts: Iterable[ChunkEntries]) -> ChunkEntries:
        """Return the entries of several runs of chunks, one after the other."""
        listed = list(parts)
        nnz = [part.nnz for part in listed if part.nnz is not None]
        return cls(
            np.concatenate([part.rows for part in listed]),
            np.concatenate([part.nbytes for part in listed]),
            np.concatenate([part.checksums for part in listed]),
            np.concatenate([part.n_nan for part in listed]),
            np.concatenate(nnz) if len(nnz) == len(listed) else None,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[StoredChunk]:
        columns = (self.rows, self.nbytes, self.checksums, self.n_nan)
        nnz = [None] * len(self) if self.nnz is None else self.nnz.tolist()
        for fields in zip(*(column.tolist() for column in columns), nnz, strict=True):
            yield StoredChunk(*fields)

    def run(self, first: int, stop: int) -> ChunkEntries:
        """Return the entries of the chunks `first` to `stop` (excluded)."""
        cut = slice(first, stop)
        nnz = None if self.nnz is None else self.nnz[cut]
        return ChunkEntries(
            self.rows[cut], self.nbytes[cut], self.checksums[cut], self.n_nan[cut], nnz
        )


def pack_expected(entries: ChunkEntries) -> bytes:
    """Pack size and checksum of each chunk as bytes, which are sent to the task that reads them."""
    pairs = np.empty((len(entries), 2), dtype="<u4")
    pairs[:, 0] = entries.nbytes
    pairs[:, 1] = entries.checksums
    return pairs.tobytes()


def expected_of(packed: bytes) -> list[tuple[int, int]]:
    """Return the size and checksum of each chunk that :func:`pack_expected` packed."""
    pairs: list[list[int]] = np.frombuffer(packed, dtype="<u4").reshape(-1, 2).tolist()
    return [(nbytes, checksum) for nbytes, checksum in pairs]
