"""The errors of this package; each is also the builtin error that a caller would catch.

::

    StorageError
    ├── DatasetExists        (FileExistsError)      something is at the target already
    ├── DatasetNotFound      (FileNotFoundError)    nothing is there
    ├── NotADataset          (ValueError)           something else is there
    ├── DatasetIncomplete    (ValueError)           half-written: the manifest is missing
    ├── DatasetReplaced      (RuntimeError)         overwritten since it was opened
    ├── AppendConflict       (RuntimeError)         another append was committed first
    ├── BlockTooLarge        (MemoryError)          memory for one block cannot be allocated
    ├── UnsupportedVersion   (ValueError)           written by a newer release
    ├── UnsupportedURL       (NotImplementedError)  no store opens it, or it is read-only
    ├── StoreUnreachable     (ConnectionError)      an object store does not answer
    ├── InvalidData          (ValueError)           raw data does not match its declaration
    ├── UnencryptedCluster   (RuntimeError)         Dask requires encryption, a cluster has none
    └── DatasetCorrupt       (OSError)              stored bytes are not those written
        ├── MetadataCorrupt  (OSError, ValueError)  zarr.json, ingest.json or manifest.json
        └── ChunkCorrupt     (OSError)              one chunk's file

All of them survive pickling, because they are raised in worker processes.
"""

from __future__ import annotations

from collections.abc import Sequence

_LISTED = 20


class StorageError(Exception):
    """Base of all errors of this package. The message says what to do."""


class DatasetExists(StorageError, FileExistsError):
    """Something is already at the place where a data set is to be written."""


class DatasetNotFound(StorageError, FileNotFoundError):
    """Nothing is stored where a data set was looked for."""


class NotADataset(StorageError, ValueError):
    """Something is there, but it is not a data set of this package."""


class DatasetIncomplete(StorageError, ValueError):
    """A data set was not written, or not copied, to the end: its manifest is missing."""


class DatasetReplaced(StorageError, RuntimeError):
    """The data set was overwritten after it was opened: its arrays no longer match the files."""


class AppendConflict(StorageError, RuntimeError):
    """Another append was committed while this one was written: nothing was appended."""


class BlockTooLarge(StorageError, MemoryError):
    """The memory for one block cannot be allocated."""


class UnsupportedVersion(StorageError, ValueError):
    """The data set's format is newer than this release can read."""


class UnsupportedURL(StorageError, NotImplementedError):
    """No store opens the URL, or the store does not support the operation."""


class StoreUnreachable(StorageError, ConnectionError):
    """A store on the network does not answer, or returns an error."""


class InvalidData(StorageError, ValueError):
    """Raw data cannot be read, or its values do not match the declaration of their column."""


class UnencryptedCluster(StorageError, RuntimeError):
    """Dask's configuration requires encryption, and connections to a cluster have none."""


class DatasetCorrupt(StorageError, OSError):
    """Stored bytes are not those that were written.

    Parameters
    ----------
    message : str
        What was found.
    chunks : sequence of ChunkCorrupt, optional
        The damaged chunks, if several chunks were checked.

    Attributes
    ----------
    chunks : tuple of ChunkCorrupt
        The damaged chunks; empty when the metadata is damaged.
    """

    def __init__(self, message: str, chunks: Sequence[ChunkCorrupt] = ()) -> None:
        super().__init__(message)
        self.chunks = tuple(chunks)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.chunks), _notes(self)

    @classmethod
    def from_chunks(
        cls, path: str, chunks: Sequence[ChunkCorrupt], n_checked: int
    ) -> DatasetCorrupt:
        """Make an error that names all damaged chunks, or the first 20 of them.

        Parameters
        ----------
        path : str
            The data set.
        chunks : sequence of ChunkCorrupt
            The damaged chunks.
        n_checked : int
            Number of chunks that were read.

        Returns
        -------
        DatasetCorrupt
            The error.
        """
        lines = [f"{len(chunks)} of {n_checked} chunks of {path} are damaged:"]
        lines += [f"  {chunk.where}: {chunk.problem}" for chunk in chunks[:_LISTED]]
        if len(chunks) > _LISTED:
            lines.append(f"  and {len(chunks) - _LISTED} more (all are in this error's .chunks)")
        lines.append(
            "Repair them from the raw files (storage.repair, dlbd repair), restore them from a "
            "copy, or write the data set again."
        )
        return cls("\n".join(lines), chunks)


class MetadataCorrupt(DatasetCorrupt, ValueError):
    """``zarr.json``, ``ingest.json`` or ``manifest.json`` is damaged, or contradicts another file.

    Parameters
    ----------
    message : str
        What was found.
    chunks : sequence of ChunkCorrupt, optional
        Empty: no chunk is damaged.
    """


class ChunkCorrupt(DatasetCorrupt):
    """One chunk's file is missing, truncated or changed.

    Parameters
    ----------
    path : str
        The data set.
    array : str
        ``"X"``, ``"y"`` or ``"sample_weight"``.
    chunk : int
        The chunk's index along the rows.
    rows : tuple of int
        First row that the chunk holds, and the row after its last.
    key : str
        The chunk's file, relative to `path`.
    problem : str
        What was expected and what was found.
    """

    def __init__(
        self, path: str, array: str, chunk: int, rows: tuple[int, int], key: str, problem: str
    ) -> None:
        self.path = path
        self.array = array
        self.chunk = chunk
        self.rows = rows
        self.key = key
        self.problem = problem
        super().__init__(
            f"{self.where} of {path}: {problem}. None of its rows were used. "
            f"Repair it from the raw files (storage.repair), restore this file from a copy, or "
            f"write the data set again; storage.verify lists every damaged chunk."
        )

    @property
    def where(self) -> str:
        """The chunk in words: index, array, rows and file."""
        first, stop = self.rows
        return (
            f"chunk {self.chunk} of array {self.array!r} (rows {first} to {stop - 1}, {self.key})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        init = (self.path, self.array, self.chunk, self.rows, self.key, self.problem)
        return type(self), init, _notes(self)


def _notes(error: BaseException) -> dict[str, object]:
    """Return what a pickle needs besides the arguments: the notes added by ``add_note``."""
    notes = getattr(error, "__notes__", None)
    return {} if notes is None else {"__notes__": notes}
