"""Read the files of chunks that :mod:`storage.chunk_files` has written, without zarr.

Each file is checked against the manifest. Nothing is copied: bytes go from the store to a reused
buffer, and are decoded directly into their rows of the block. Only sparse rows take more steps.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.chunk_files import TRAILER, count_nan
from storage.clock import decoding_timed
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt
from storage.layout import ArrayLayout
from storage.sparse_rows import decode_rows, stacked
from storage.store import Bytes, Store, UnexpectedFile

__all__ = ["entry_of", "read_chunks", "read_sparse_chunks", "read_values"]

_HEADER = 16
_STORED_AS_IS = 0x2

# LZ4 cannot make bytes smaller by more than this factor.
_MOST_COMPRESSED = 256

# Where the rows of a chunk go: into rows of an array, or to the end of a list of CSR arrays.
_Rows: TypeAlias = npt.NDArray[np.generic] | list[Any]


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
    rows: list[Any] = []
    wanted = [
        _Wanted(chunk, nbytes, checksum, rows)
        for chunk, (nbytes, checksum) in zip(chunks, expected, strict=True)
    ]
    _read(store, layout, wanted, columns)
    return stacked(rows)


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


def entry_of(layout: ArrayLayout, chunk: int, data: Bytes) -> StoredChunk | None:
    """Return the manifest's entry of a chunk whose file has these bytes; None if it is damaged."""
    checksum = int.from_bytes(data[-TRAILER:].tobytes(), "little")
    start, stop = layout.rows_of(chunk)
    out: _Rows = [] if layout.sparse else layout.empty_rows(stop - start)
    try:
        _decode_checked(data, layout, _Wanted(chunk, data.size, checksum, out), None)
    except _BadBytes:
        return None
    values = stacked(out).data if isinstance(out, list) else out
    nnz = len(values) if layout.sparse else None
    return StoredChunk(stop - start, data.size, checksum, count_nan(values), nnz)


def _read(
    store: Store, layout: ArrayLayout, left: Sequence[_Wanted], columns: Sequence[int] | None
) -> None:
    """Read chunks in their order, each under its key or from its spare file."""
    while left:
        n_read = 0
        try:
            for n_read in _read_under_keys(store, layout, left, columns):  # noqa: B007
                pass
        except ChunkCorrupt as error:
            _read_spare(store, layout, left[n_read], columns, error)
            n_read += 1
        left = left[n_read:]


class _Wanted(NamedTuple):
    """A chunk to read: its number, the manifest's entry, and where its rows go."""

    chunk: int
    nbytes: int
    checksum: int
    out: _Rows


def _read_under_keys(
    store: Store, layout: ArrayLayout, wanted: Sequence[_Wanted], columns: Sequence[int] | None
) -> Iterator[int]:
    """Read chunks under their keys; yield the number of chunks that were read so far."""
    as_is = store.reads_into and columns is None and not layout.sparse
    size_as_is = _HEADER + layout.chunk_nbytes + TRAILER
    others = [request for request in wanted if not (as_is and request.nbytes == size_as_is)]
    files = store.read_each(
        [layout.key(request.chunk) for request in others], [request.nbytes for request in others]
    )
    for n_read, request in enumerate(wanted, 1):
        with _corrupt_if_wrong(store, layout, request.chunk):
            if as_is and request.nbytes == size_as_is:
                assert not isinstance(request.out, list)
                _read_as_is(store, layout, request.chunk, request.checksum, request.out)
            else:
                _decode_checked(next(files), layout, request, columns)
        yield n_read


def _read_spare(
    store: Store,
    layout: ArrayLayout,
    wanted: _Wanted,
    columns: Sequence[int] | None,
    error: ChunkCorrupt,
) -> None:
    """Read the spare file of a chunk; raise `error` if it is not the chunk that is wanted.

    While an append is being completed, the chunk may move from its spare file to its key between
    both attempts, so its key is tried once more.
    """
    for key in (layout.spare_key(wanted.chunk), layout.key(wanted.chunk)):
        try:
            with _corrupt_if_wrong(store, layout, wanted.chunk):
                _decode_checked(store.read(key, wanted.nbytes), layout, wanted, columns)
        except ChunkCorrupt:
            continue
        return
    raise error


def _decode_checked(
    data: Bytes, layout: ArrayLayout, wanted: _Wanted, columns: Sequence[int] | None
) -> None:
    found = int(google_crc32c.value(data[:-TRAILER]))
    _check(data.size, wanted.nbytes, found, data[-TRAILER:], wanted.checksum)
    frame = data[:-TRAILER]
    if isinstance(wanted.out, list):
        wanted.out.append(_decoded_rows(frame, layout, wanted.chunk, columns))
    else:
        _decode(frame, layout, wanted.out, columns)


def _read_as_is(
    store: Store, layout: ArrayLayout, chunk: int, checksum: int, out: npt.NDArray[np.generic]
) -> None:
    """Read a chunk that is stored uncompressed directly into its rows."""
    whole = out.nbytes == layout.chunk_nbytes  # without padding
    rows = out if whole else layout.empty_rows(layout.chunk_rows)
    ends = np.empty(_HEADER + TRAILER, dtype=np.uint8)
    header, trailer, values = ends[:_HEADER], ends[_HEADER:], rows.reshape(-1).view(np.uint8)
    size = store.read_into(layout.key(chunk), [header, values, trailer])
    nbytes = ends.size + values.size
    found = -1
    if size == nbytes:
        found = int(google_crc32c.extend(google_crc32c.value(header), values))
    _check(size, nbytes, found, trailer, checksum)
    _check_header(header, values.nbytes, _HEADER + values.size)
    if not header[2] & _STORED_AS_IS:
        raise _BadBytes("its header says that it is compressed, but its size is that of its rows")
    if not whole:
        out[...] = rows[: len(out)]


class _BadBytes(Exception):
    """A file's bytes are wrong; the caller knows which file it is."""


@contextmanager
def _corrupt_if_wrong(store: Store, layout: ArrayLayout, chunk: int) -> Iterator[None]:
    try:
        yield
    except (_BadBytes, OSError) as error:
        if isinstance(error, _BadBytes):
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
    if size != nbytes or nbytes < _HEADER + TRAILER:
        raise _BadBytes(f"the file has {size} bytes, the manifest says {nbytes}")
    stored = int.from_bytes(trailer.tobytes(), "little")
    if found != stored:
        raise _BadBytes(f"its checksum is {found:#010x} where {stored:#010x} was stored")
    if found != checksum:
        # The file is valid, but not the one that was written here.
        raise _BadBytes(
            f"the file belongs to another chunk, or to another version of the data set: its "
            f"checksum is {found:#010x}, the manifest says {checksum:#010x}"
        )


def _check_header(header: Bytes, nbytes: int, frame_nbytes: int) -> None:
    decoded, _, framed = np.frombuffer(header[4:_HEADER], dtype="<u4").tolist()
    if (decoded, framed) != (nbytes, frame_nbytes):
        raise _BadBytes(
            f"its header gives a size of {framed} bytes for {decoded} bytes of values, but it has "
            f"{frame_nbytes} bytes, and a chunk of this array holds {nbytes} bytes of values"
        )


def _decode(
    frame: Bytes,
    layout: ArrayLayout,
    out: npt.NDArray[np.generic],
    columns: Sequence[int] | None,
) -> None:
    """Decode a frame into the wanted rows and columns of its chunk."""
    values = out
    if columns is not None or out.nbytes != layout.chunk_nbytes:
        values = layout.empty_rows(layout.chunk_rows)
    _decompress(frame, values)
    if values is not out:
        rows = values[: len(out)]
        out[...] = rows if columns is None else rows[:, list(columns)]


def _decoded_rows(
    frame: Bytes, layout: ArrayLayout, chunk: int, columns: Sequence[int] | None
) -> Any:
    """Return the wanted columns of a chunk of sparse rows."""
    nbytes = int.from_bytes(frame[4:8].tobytes(), "little")
    if nbytes > _MOST_COMPRESSED * frame.size:
        raise _BadBytes(f"its header gives a size of {nbytes} bytes, too many for its own size")
    content = np.empty(nbytes, dtype=np.uint8)
    _decompress(frame, content)
    start, stop = layout.rows_of(chunk)
    try:
        rows = decode_rows(content, layout.dtype, (stop - start, layout.row_shape[0]))
    except ValueError as error:
        raise _BadBytes(f"it does not hold the rows of a sparse matrix ({error})") from error
    if columns is not None:
        rows = rows[:, list(columns)]
        rows.sort_indices()
    return rows


def _decompress(frame: Bytes, values: npt.NDArray[np.generic]) -> None:
    """Fill `values`, which must have the size that the frame's header gives."""
    _check_header(frame[:_HEADER], values.nbytes, frame.size)
    try:
        if frame[2] & _STORED_AS_IS:
            values.reshape(-1).view(np.uint8)[...] = frame[_HEADER:]
        else:
            with decoding_timed():
                blosc.decompress(frame, values)
    except (RuntimeError, ValueError) as error:
        raise _BadBytes(f"Blosc cannot decode it ({error})") from error
