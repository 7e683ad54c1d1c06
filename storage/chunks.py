"""Read the files of chunks that :mod:`storage.chunk_files` has written, without zarr.

Each file is checked against the manifest. Nothing is copied: bytes go from the store to a reused
buffer, and are decoded directly into their rows of the block. Only sparse rows take more steps.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import google_crc32c
import numpy as np
import numpy.typing as npt

from storage.chunk_files import TRAILER, count_nan
from storage.decoding import HEADER, BadBytes, check_header, decode, decode_sparse, is_compressed
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt
from storage.layout import ArrayLayout
from storage.sparse_rows import stacked
from storage.store import Bytes, Store, UnexpectedFile

__all__ = ["damaged_files", "entry_of", "read_chunks", "read_sparse_chunks", "read_values"]

# Where the rows of a chunk go: into rows of an array, or as a CSR array into a list. None means
# that nothing is decoded.
_Rows: TypeAlias = npt.NDArray[np.generic] | list[Any] | None


def read_chunks(
    store: Store,
    layout: ArrayLayout,
    chunks: Sequence[int],
    expected: Sequence[tuple[int, int]],
    out: npt.NDArray[np.generic],
    columns: Sequence[int] | None = None,
) -> None:
    """Read the rows of consecutive chunks into `out`, which must not be used after an error.

    Parameters
    ----------
    store : Store
        Files of the data set.
    layout : ArrayLayout
        The array.
    chunks : sequence of int
        Numbers of consecutive chunks.
    expected : sequence of (int, int)
        Size and checksum of each chunk's file in the manifest. They also reveal a valid file that
        belongs to another chunk, or to another version of the data set.
    out : ndarray
        Contiguous, of the array's dtype, as many rows as the chunks hold without padding.
    columns : sequence of int, optional
        The columns that `out` has; None means all.

    A chunk that is not under its Zarr key is read from its spare file: see
    :meth:`ArrayLayout.spare_key`.

    Raises
    ------
    ChunkCorrupt
        When a file is missing, or is not the one that the manifest lists.
    """
    first_row, _ = layout.rows_of(chunks[0])
    wanted = []
    for chunk, (nbytes, checksum) in zip(chunks, expected, strict=True):
        start, stop = layout.rows_of(chunk)
        wanted.append(_Wanted(chunk, nbytes, checksum, out[start - first_row : stop - first_row]))
    _read(store, layout, wanted, columns)


def read_sparse_chunks(
    store: Store,
    layout: ArrayLayout,
    chunks: Sequence[int],
    expected: Sequence[tuple[int, int]],
    columns: Sequence[int] | None = None,
) -> Any:
    """Return the rows of consecutive chunks of sparse rows as one CSR array.

    Parameters and errors are those of :func:`read_chunks`. The rows of the last chunk are copied
    once more, with those of all others, so twice the memory of the rows is needed.
    """
    rows: list[list[Any]] = [[] for _ in chunks]
    wanted = [
        _Wanted(chunk, nbytes, checksum, out)
        for chunk, (nbytes, checksum), out in zip(chunks, expected, rows, strict=True)
    ]
    _read(store, layout, wanted, columns)
    return stacked([part for (part,) in rows])


def read_values(
    store: Store,
    layout: ArrayLayout,
    chunk: int,
    expected: tuple[int, int],
    buffer: npt.NDArray[np.generic] | None = None,
) -> tuple[npt.NDArray[np.generic], int]:
    """Return the values that a chunk stores, and the number of NaN among them.

    Parameters
    ----------
    store : Store
        Files of the data set.
    layout : ArrayLayout
        The array.
    chunk : int
        Number of the chunk.
    expected : tuple of (int, int)
        Size and checksum of the chunk's file.
    buffer : ndarray, optional
        Memory for the rows of a chunk of dense rows.

    Returns
    -------
    values : ndarray
        The rows of the chunk; of sparse rows, the values of their entries.
    n_nan : int
        Number of NaN.
    """
    if layout.sparse:
        values = read_sparse_chunks(store, layout, [chunk], [expected]).data
    else:
        first, stop = layout.rows_of(chunk)
        values = layout.empty_rows(stop - first) if buffer is None else buffer[: stop - first]
        read_chunks(store, layout, [chunk], [expected], values)
    return values, count_nan(values)


def damaged_files(
    store: Store,
    layout: ArrayLayout,
    chunks: Sequence[int],
    expected: Sequence[tuple[int, int]],
) -> list[ChunkCorrupt]:
    """Compare the files of chunks with the manifest, without decoding them.

    Parameters
    ----------
    store : Store
        Files of the data set.
    layout : ArrayLayout
        The array.
    chunks : sequence of int
        Numbers of the chunks. From an object store, all of their files are requested at once.
    expected : sequence of (int, int)
        Size and checksum of each chunk's file in the manifest.

    Returns
    -------
    list of ChunkCorrupt
        An error for each chunk that :func:`read_chunks` would refuse because of its file's bytes.
    """
    wanted = [
        _Wanted(chunk, nbytes, checksum, None)
        for chunk, (nbytes, checksum) in zip(chunks, expected, strict=True)
    ]
    return list(_damaged(store, layout, wanted, None))


def entry_of(layout: ArrayLayout, chunk: int, data: Bytes) -> StoredChunk | None:
    """Return the manifest's entry of a chunk whose file has these bytes; None if it is damaged."""
    checksum = int.from_bytes(data[-TRAILER:].tobytes(), "little")
    start, stop = layout.rows_of(chunk)
    out: npt.NDArray[np.generic] | list[Any]
    out = [] if layout.sparse else layout.empty_rows(stop - start)
    try:
        _read_checked(lambda: data, layout, _Wanted(chunk, data.size, checksum, out), None)
    except BadBytes:
        return None
    values = stacked(out).data if isinstance(out, list) else out
    nnz = len(values) if layout.sparse else None
    return StoredChunk(stop - start, data.size, checksum, count_nan(values), nnz)


class _Wanted(NamedTuple):
    """A chunk to read: its number, the manifest's entry, and where its rows go."""

    chunk: int
    nbytes: int
    checksum: int
    out: _Rows


def _read(
    store: Store, layout: ArrayLayout, wanted: Sequence[_Wanted], columns: Sequence[int] | None
) -> None:
    for error in _damaged(store, layout, wanted, columns):
        raise error


def _damaged(
    store: Store, layout: ArrayLayout, wanted: Sequence[_Wanted], columns: Sequence[int] | None
) -> Iterator[ChunkCorrupt]:
    """Read chunks in their order, and yield an error for each one that is not as it is listed."""

    def error_of(number: int, file: Callable[[], Bytes]) -> ChunkCorrupt | None:
        return _error_of(store, layout, wanted[number], columns, file)

    keys = [layout.key(request.chunk) for request in wanted]
    for error in store.read_each(keys, [request.nbytes for request in wanted], error_of):
        if error is not None:
            yield error


def _error_of(
    store: Store,
    layout: ArrayLayout,
    wanted: _Wanted,
    columns: Sequence[int] | None,
    file: Callable[[], Bytes],
) -> ChunkCorrupt | None:
    """Read a chunk under its key or from its spare file; return why neither is what is listed.

    While an append is being completed, the chunk may move from its spare file to its key between
    both attempts, so its key is tried once more.
    """
    reads = [partial(_read_under_key, store, layout, wanted, columns, file)]
    for key in (layout.spare_key(wanted.chunk), layout.key(wanted.chunk)):
        again = partial(store.read, key, wanted.nbytes)
        reads.append(partial(_read_checked, again, layout, wanted, columns))
    errors = []
    for read in reads:
        try:
            with _corrupt_if_wrong(store, layout, wanted.chunk):
                read()
        except ChunkCorrupt as error:
            errors.append(error)
        else:
            return None
    return errors[0]


def _read_under_key(
    store: Store,
    layout: ArrayLayout,
    wanted: _Wanted,
    columns: Sequence[int] | None,
    file: Callable[[], Bytes],
) -> None:
    as_is = wanted.nbytes == HEADER + layout.chunk_nbytes + TRAILER
    if as_is and store.reads_into and columns is None and isinstance(wanted.out, np.ndarray):
        _read_as_is(store, layout, wanted.chunk, wanted.checksum, wanted.out)
    else:
        _read_checked(file, layout, wanted, columns)


def _read_checked(
    file: Callable[[], Bytes],
    layout: ArrayLayout,
    wanted: _Wanted,
    columns: Sequence[int] | None,
) -> None:
    data = file()
    found = int(google_crc32c.value(data[:-TRAILER]))
    _check(data.size, wanted.nbytes, found, data[-TRAILER:], wanted.checksum)
    frame = data[:-TRAILER]
    if wanted.out is None:
        return
    if isinstance(wanted.out, list):
        wanted.out.append(decode_sparse(frame, layout, wanted.chunk, columns))
    else:
        decode(frame, layout, wanted.out, columns)


def _read_as_is(
    store: Store, layout: ArrayLayout, chunk: int, checksum: int, out: npt.NDArray[np.generic]
) -> None:
    """Read a chunk that is stored uncompressed directly into its rows."""
    whole = out.nbytes == layout.chunk_nbytes  # without padding
    rows = out if whole else layout.empty_rows(layout.chunk_rows)
    ends = np.empty(HEADER + TRAILER, dtype=np.uint8)
    header, trailer, values = ends[:HEADER], ends[HEADER:], rows.reshape(-1).view(np.uint8)
    size = store.read_into(layout.key(chunk), [header, values, trailer])
    nbytes = ends.size + values.size
    found = -1
    if size == nbytes:
        found = int(google_crc32c.extend(google_crc32c.value(header), values))
    _check(size, nbytes, found, trailer, checksum)
    check_header(header, values.nbytes, HEADER + values.size)
    if is_compressed(header):
        raise BadBytes("its header says that it is compressed, but its size is that of its rows")
    if not whole:
        out[...] = rows[: len(out)]


@contextmanager
def _corrupt_if_wrong(store: Store, layout: ArrayLayout, chunk: int) -> Iterator[None]:
    try:
        yield
    except (BadBytes, OSError) as error:
        if isinstance(error, BadBytes):
            problem = str(error)
        elif isinstance(error, FileNotFoundError | IsADirectoryError):
            problem = "the file is missing"
        elif isinstance(error, UnexpectedFile):
            problem = str(error)
        elif error.errno == errno.EIO:
            problem = f"the disk cannot read the file ({error.strerror})"
        else:
            raise
        rows, key = layout.rows_of(chunk), layout.key(chunk)
        raise ChunkCorrupt(store.location, layout.name, chunk, rows, key, problem) from error


def _check(size: int, nbytes: int, found: int, trailer: Bytes, checksum: int) -> None:
    """Compare size and checksum of a file with its last bytes and with the manifest."""
    if size != nbytes or nbytes < HEADER + TRAILER:
        raise BadBytes(f"the file has {size} bytes, the manifest says {nbytes}")
    stored = int.from_bytes(trailer.tobytes(), "little")
    if found != stored:
        raise BadBytes(f"its checksum is {found:#010x} where {stored:#010x} was stored")
    if found != checksum:
        # The file is valid, but not the one that was written here.
        raise BadBytes(
            f"the file belongs to another chunk, or to another version of the data set: its "
            f"checksum is {found:#010x}, the manifest says {checksum:#010x}"
        )
