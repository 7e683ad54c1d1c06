"""Write and read the file of one chunk, without zarr.

The file is a Blosc frame followed by the frame's CRC-32C. These are the bytes that zarr's codecs
``bytes``, ``blosc`` and ``crc32c`` write and read, so zarr alone can open the arrays (tests compare
both). Our own reading checks each file against the manifest, and makes no copies: bytes go from the
store to a reused buffer, and are decoded directly into their rows of the block.

If Blosc cannot make a chunk clearly smaller, it is stored uncompressed, still in a Blosc frame.
Noise in the low bits of floats hardly compresses (4-6 %), yet undoing the shuffle costs more
than reading the file.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.clock import decoding_timed
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt
from storage.layout import ArrayLayout
from storage.store import Bytes, Store, UnexpectedFile

__all__ = ["encode_chunk", "encoded_file", "read_chunks", "write_chunk"]

# zarr sets this too, but a worker that only reads never imports zarr. Blosc's own threads would
# multiply with Dask's, and its global state takes a lock.
blosc.use_threads = False

_HEADER = 16
_TRAILER = 4
_STORED_AS_IS = 0x2

# Undoing the shuffle costs about 0.25 ns a byte. With a disk of 0.5 GB/s, compression must save an
# eighth of the bytes to be faster. The choice is made for each chunk and needs no other codec: the
# frame's header records how it was compressed.
_WORTH_COMPRESSING = 7 / 8


def encode_chunk(values: npt.NDArray[np.generic]) -> bytes:
    """Return the Blosc frame of a whole, contiguous, little-endian chunk, without the checksum."""
    frame = cast(bytes, blosc.compress(values, b"lz4", 5, blosc.SHUFFLE))
    if len(frame) > _WORTH_COMPRESSING * values.nbytes:
        frame = cast(bytes, blosc.compress(values, b"lz4", 0, blosc.NOSHUFFLE))
    return frame


def write_chunk(
    store: Store,
    layout: ArrayLayout,
    chunk: int,
    values: npt.NDArray[np.generic],
    *,
    key: str | None = None,
    durable: bool = False,
) -> StoredChunk:
    """Write one chunk's file.

    Parameters
    ----------
    store : Store
        Files of the data set.
    layout : ArrayLayout
        The array.
    chunk : int
        Number of the chunk along the rows.
    values : ndarray
        The chunk's rows in the array's dtype, without padding.
    key : str, optional
        Name of the file; None means Zarr's key of the chunk.
    durable : bool, default=False
        Wait until the file is safe on disk.

    Returns
    -------
    StoredChunk
        The manifest's entry.
    """
    content, entry = encoded_file(layout, values)
    store.write(key or layout.key(chunk), content, durable=durable)
    return entry


def encoded_file(
    layout: ArrayLayout, values: npt.NDArray[np.generic]
) -> tuple[tuple[bytes, bytes], StoredChunk]:
    """Return the parts of a chunk's file and the manifest's entry, as :func:`write_chunk` does."""
    rows = values.shape[0]
    stored = np.ascontiguousarray(values, dtype=layout.stored_dtype)
    n_nan = int(np.count_nonzero(np.isnan(stored))) if stored.dtype.kind == "f" else 0
    if rows < layout.chunk_rows:
        padded = np.full(layout.chunk_shape, layout.fill_value, dtype=stored.dtype)
        padded[:rows] = stored
        stored = padded
    frame = encode_chunk(stored)
    checksum = int(google_crc32c.value(frame))
    trailer = checksum.to_bytes(_TRAILER, "little")
    return (frame, trailer), StoredChunk(rows, len(frame) + _TRAILER, checksum, n_nan)


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
    left = []
    for chunk, (nbytes, checksum) in zip(chunks, expected, strict=True):
        start, stop = layout.rows_of(chunk)
        left.append(_Wanted(chunk, nbytes, checksum, out[start - first_row : stop - first_row]))
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
    out: npt.NDArray[np.generic]


def _read_under_keys(
    store: Store, layout: ArrayLayout, wanted: Sequence[_Wanted], columns: Sequence[int] | None
) -> Iterator[int]:
    """Read chunks under their keys; yield the number of chunks that were read so far."""
    as_is = store.reads_into and columns is None
    size_as_is = _HEADER + layout.chunk_nbytes + _TRAILER
    others = [request for request in wanted if not (as_is and request.nbytes == size_as_is)]
    files = store.read_each(
        [layout.key(request.chunk) for request in others], [request.nbytes for request in others]
    )
    for n_read, request in enumerate(wanted, 1):
        with _corrupt_if_wrong(store, layout, request.chunk):
            if as_is and request.nbytes == size_as_is:
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
    found = int(google_crc32c.value(data[:-_TRAILER]))
    _check(data.size, wanted.nbytes, found, data[-_TRAILER:], wanted.checksum)
    _decode(data[:-_TRAILER], layout, wanted.out, columns)


def _read_as_is(
    store: Store, layout: ArrayLayout, chunk: int, checksum: int, out: npt.NDArray[np.generic]
) -> None:
    """Read a chunk that is stored uncompressed directly into its rows."""
    whole = out.nbytes == layout.chunk_nbytes  # without padding
    rows = out if whole else layout.empty_rows(layout.chunk_rows)
    ends = np.empty(_HEADER + _TRAILER, dtype=np.uint8)
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
    if size != nbytes or nbytes < _HEADER + _TRAILER:
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
    _check_header(frame[:_HEADER], values.nbytes, frame.size)
    try:
        if frame[2] & _STORED_AS_IS:
            values.reshape(-1).view(np.uint8)[...] = frame[_HEADER:]
        else:
            with decoding_timed():
                blosc.decompress(frame, values)
    except (RuntimeError, ValueError) as error:
        raise _BadBytes(f"Blosc cannot decode it ({error})") from error
    if values is not out:
        rows = values[: len(out)]
        out[...] = rows if columns is None else rows[:, list(columns)]
