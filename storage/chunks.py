"""One chunk's file: its bytes, made and read without zarr's machinery in between.

A chunk's file is a Blosc frame followed by the frame's CRC-32C, exactly what zarr's codecs
``bytes``, ``blosc`` and ``crc32c`` make and read: zarr alone opens the arrays (tests compare).
Reading the files ourselves is 3 to 6 times faster, because nothing is copied on the way: bytes
go from the file to a reused buffer, and are decoded straight into their rows of the block.

A chunk that Blosc cannot make clearly smaller is stored as it is, still inside a Blosc frame.
Noise in the low bits of floats hardly compresses (4-6 %), yet undoing the shuffle costs more
than reading the file; such a chunk is read straight into the block.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import uuid
from collections.abc import Sequence
from typing import cast

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.clock import counted
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt
from storage.layout import ArrayLayout

__all__ = ["PARTIAL_SUFFIX", "encode_chunk", "read_chunk", "write_chunk"]

# zarr sets this too, but a worker that only reads never imports zarr. Blosc's own threads would
# multiply with Dask's, and its global state takes a lock.
blosc.use_threads = False

PARTIAL_SUFFIX = ".partial"

_HEADER = 16
_TRAILER = 4
_STORED_AS_IS = 0x2

# Undoing the shuffle costs about 0.25 ns a byte; a disk of 0.5 GB/s must save an eighth of the
# bytes to win that back. The choice is per chunk and needs no other codec: frames say how they
# were made.
_WORTH_COMPRESSING = 7 / 8

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})

Bytes = npt.NDArray[np.uint8]


class _Scratch(threading.local):
    """A thread's buffer for the bytes of a compressed chunk, kept between chunks."""

    def __init__(self) -> None:
        self.buffer: Bytes = np.empty(0, dtype=np.uint8)

    def of_size(self, nbytes: int) -> Bytes:
        if self.buffer.size < nbytes:
            self.buffer = np.empty(nbytes, dtype=np.uint8)
        return self.buffer[:nbytes]


_scratch = _Scratch()


def encode_chunk(values: npt.NDArray[np.generic]) -> bytes:
    """Blosc frame of one whole, contiguous, little-endian chunk, without the checksum."""
    frame = cast(bytes, blosc.compress(values, b"lz4", 5, blosc.SHUFFLE))
    if len(frame) > _WORTH_COMPRESSING * values.nbytes:
        frame = cast(bytes, blosc.compress(values, b"lz4", 0, blosc.NOSHUFFLE))
    return frame


def write_chunk(
    root: str,
    layout: ArrayLayout,
    chunk: int,
    values: npt.NDArray[np.generic],
    *,
    durable: bool = False,
) -> StoredChunk:
    """Write one chunk's file.

    Parameters
    ----------
    root : str
        Folder of the data set.
    layout : ArrayLayout
        The array.
    chunk : int
        Which chunk.
    values : ndarray
        The chunk's rows in the array's dtype, without padding.
    durable : bool, default=False
        Wait until the disk has it.

    Returns
    -------
    StoredChunk
        The manifest's entry.
    """
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
    _write_file(f"{root}/{layout.key(chunk)}", (frame, trailer), durable=durable)
    return StoredChunk(rows, len(frame) + _TRAILER, checksum, n_nan)


def read_chunk(
    root: str,
    layout: ArrayLayout,
    chunk: int,
    out: npt.NDArray[np.generic],
    expected: tuple[int, int],
) -> None:
    """Read one chunk's rows into `out`, or raise; `out` is then not to be used.

    Parameters
    ----------
    root : str
        Folder of the data set.
    layout : ArrayLayout
        The array.
    chunk : int
        Which chunk.
    out : ndarray
        Contiguous, of the array's dtype, as many rows as the chunk holds without padding.
    expected : tuple of int
        Size and checksum of the file in the manifest. A whole file that is another chunk's, or
        of another writing, is right in itself: only the manifest tells that it is not this one.

    Raises
    ------
    ChunkCorrupt
        When the file is missing, or is not the one that the manifest tells of.
    """
    path = f"{root}/{layout.key(chunk)}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _read_file(descriptor, layout, out, expected)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _GONE:
            problem = "the file is missing"
        elif error.errno == errno.EIO:
            problem = f"the disk cannot read the file ({error.strerror})"
        else:
            raise
        raise _corrupt(root, layout, chunk, problem) from error
    except _BadBytes as error:
        raise _corrupt(root, layout, chunk, str(error)) from None


class _BadBytes(Exception):
    """A file's bytes are wrong; the caller knows which file it is."""


def _corrupt(root: str, layout: ArrayLayout, chunk: int, problem: str) -> ChunkCorrupt:
    rows = layout.rows_of(chunk)
    return ChunkCorrupt(root, layout.name, chunk, rows, layout.key(chunk), problem)


def _read_file(
    descriptor: int,
    layout: ArrayLayout,
    out: npt.NDArray[np.generic],
    expected: tuple[int, int],
) -> None:
    size = os.fstat(descriptor).st_size
    nbytes, checksum = expected
    if size != nbytes:
        raise _BadBytes(f"the file has {size} bytes, the manifest says {nbytes}")
    largest = layout.chunk_nbytes + _HEADER + _TRAILER
    if not _HEADER + _TRAILER <= size <= largest:
        raise _BadBytes(f"the file has {size} bytes, a chunk has {_HEADER + _TRAILER}-{largest}")
    if size == largest and out.nbytes == layout.chunk_nbytes:
        head = np.empty(_HEADER, dtype=np.uint8)
        _fill(descriptor, head)
        if head[2] & _STORED_AS_IS:
            _read_as_is(descriptor, head, out, checksum)
            return
        os.lseek(descriptor, 0, os.SEEK_SET)
    data = _scratch.of_size(size)
    _fill(descriptor, data)
    frame = data[:-_TRAILER]
    _check_header(frame[:_HEADER], size, layout.chunk_nbytes)
    _check_checksum(int(google_crc32c.value(frame)), data[-_TRAILER:], checksum)
    if out.nbytes == layout.chunk_nbytes:
        _decode(frame, out)
    else:
        whole = layout.empty_rows(layout.chunk_rows)
        _decode(frame, whole)
        out[...] = whole[: out.shape[0]]


def _read_as_is(descriptor: int, head: Bytes, out: npt.NDArray[np.generic], checksum: int) -> None:
    body = out.reshape(-1).view(np.uint8)
    _fill(descriptor, body)
    tail = np.empty(_TRAILER, dtype=np.uint8)
    _fill(descriptor, tail)
    _check_header(head, _HEADER + body.size + _TRAILER, body.size)
    found = google_crc32c.extend(google_crc32c.value(head), body)
    _check_checksum(int(found), tail, checksum)


def _check_header(head: Bytes, size: int, chunk_nbytes: int) -> None:
    """Compare the lengths in Blosc's header with what they must be, before any decoding."""
    decoded, _, framed = np.frombuffer(head[4:], dtype="<u4").tolist()
    if framed + _TRAILER != size:
        raise _BadBytes(
            f"the file has {size} bytes where its header says {framed + _TRAILER} "
            f"(truncated, or its header changed)"
        )
    if decoded != chunk_nbytes:
        raise _BadBytes(f"it holds {decoded} bytes of values, a chunk of this array {chunk_nbytes}")


def _check_checksum(found: int, trailer: Bytes, expected: int) -> None:
    stored = int.from_bytes(trailer.tobytes(), "little")
    if found != stored:
        raise _BadBytes(f"its checksum is {found:#010x} where {stored:#010x} was stored")
    if found != expected:
        # The file is whole, only not this one.
        raise _BadBytes(
            f"the file is another chunk's, or of another writing: its checksum is {found:#010x}, "
            f"the manifest says {expected:#010x}"
        )


def _decode(frame: Bytes, out: npt.NDArray[np.generic]) -> None:
    try:
        with counted():
            blosc.decompress(frame, out)
    except (RuntimeError, ValueError) as error:
        raise _BadBytes(f"Blosc cannot decode it ({error})") from error


def _fill(descriptor: int, view: Bytes) -> None:
    """Read until `view` is full: one read may return less than was asked for."""
    n_read = 0
    while n_read < view.size:
        got = os.readv(descriptor, [view.data[n_read:]])
        if not got:
            raise _BadBytes(f"the file ended after {n_read} bytes, while it was read")
        n_read += got


def _write_file(path: str, parts: Sequence[bytes], *, durable: bool) -> None:
    """Write a file under another name first, so that `path` never holds half of it.

    A task whose worker was taken for lost may still be writing while its second run has ended
    elsewhere; both write the same bytes, and the rename makes either a whole file.
    """
    partial = f"{path}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            for part in parts:
                left = memoryview(part)
                while left:
                    left = left[os.write(descriptor, left) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
