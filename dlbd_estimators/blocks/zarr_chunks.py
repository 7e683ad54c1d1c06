"""Decode chunks of a local Zarr array directly into the rows of a block.

For each chunk, zarr reads the bytes into new memory, decodes them into new memory, and copies the
values to the result. Each of its reads also waits for an event loop in another thread. If chunks
are large, page faults of the new memory take as long as decoding; if they are small, the event loop
does. Here the bytes are read into a buffer that the thread uses again, and decoded into their rows.

This only replaces the usual case: chunks that exist and are intact, of numbers, compressed by zstd
or Blosc, on the local disk. For everything else the caller lets zarr read the rows, so fill values
and errors are those of zarr.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from io import FileIO
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.reused_memory import empty
from dlbd_estimators.kernels.arrays import aligned_bytes
from dlbd_estimators.kernels.kernel import scratch

_Bytes = NDArray[np.uint8]

#: A thread keeps its buffer for stored bytes up to this size: 64 MiB, made a little longer by a
#: codec. A larger buffer is allocated each time, because the thread of a worker outlives a fit.
_KEPT_NBYTES = 65 * 2**20
#: Frames of zstd begin with these bytes.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: The longest header of a frame, of zstd and of Blosc.
_HEADER_NBYTES = 18


class _Chunks(NamedTuple):
    """The files of an array's chunks, and how to decode them."""

    #: As text, because joining paths takes a tenth of the time of decoding a chunk of 1 MB.
    folder: str
    array: Any
    #: A codec of numcodecs.
    codec: Any
    #: Rows of a chunk.
    length: int


class _Thread(threading.local):
    """The arrays that a thread has read last: X, y and sample weights take turns."""

    def __init__(self) -> None:
        self.known: deque[_Chunks] = deque(maxlen=3)


_thread = _Thread()


def read_chunks(array: Any, selection: Any) -> NDArray[Any] | None:
    """Return rows of a Zarr array, or None if zarr has to read them.

    Parameters
    ----------
    array : object
        The array. If it is not a ``zarr.Array``, the result is None.
    selection : object
        The index of the rows: a tuple of slices. The first slice starts at the first row of a
        chunk, and the others select all columns.

    Returns
    -------
    ndarray or None
        The rows in new memory, with the same values as ``array[selection]``.
    """
    chunks = _last_chunks(array)
    bounds = None if chunks is None else _bounds(array.shape, array.chunks, selection)
    if chunks is None or bounds is None:
        return None
    start, stop = bounds
    length = chunks.length
    rows = empty((stop - start, *array.shape[1:]), array.dtype)
    edges = [*range(start, stop, length), stop]
    for first, last in pairwise(edges):
        part = rows[first - start : last - start]
        # Every chunk is stored with the same number of rows, also beyond the end of the array.
        whole = part if len(part) == length else np.empty((length, *part.shape[1:]), part.dtype)
        if not _decode(chunks, first // length, whole.reshape(-1).view(np.uint8)):
            return None
        if whole is not part:
            part[...] = whole[: len(part)]
    return rows


def _last_chunks(array: Any) -> _Chunks | None:
    """Return :func:`_chunks_of`; it is called for each block, and takes as long as a small one."""
    for known in _thread.known:
        if known.array is array:
            return known
    chunks = _chunks_of(array)
    if chunks is not None:  # any other array may hold its rows in memory
        _thread.known.append(chunks)
    return chunks


def _chunks_of(array: Any) -> _Chunks | None:
    """Return the files of an array, or None if they are not local or not of a known format."""
    # An array of zarr can only exist if zarr is imported.
    zarr = sys.modules.get("zarr")
    if zarr is None or type(array) is not zarr.Array or array.metadata.zarr_format != 3:
        return None
    from numcodecs import Blosc, Zstd
    from zarr.codecs import BloscCodec, BytesCodec, ZstdCodec
    from zarr.registry import get_ndbuffer_class

    codecs = {ZstdCodec: Zstd, BloscCodec: Blosc}
    # Sharded arrays have another serializer, and transposed ones have filters.
    serializer, *compressors = array.metadata.codecs
    root = _local_folder(array.store_path.store)
    if (
        root is None
        or type(serializer) is not BytesCodec
        or len(compressors) != 1
        or type(compressors[0]) not in codecs
        or array.dtype.kind not in "biufc"
        or not array.dtype.isnative
        or (serializer.endian is not None and serializer.endian.value != sys.byteorder)
        or array.order != "C"
        or get_ndbuffer_class().__module__ != "zarr.core.buffer.cpu"
    ):
        return None
    codec = codecs[type(compressors[0])]()
    return _Chunks(f"{root}/{array.store_path.path}", array, codec, array.chunks[0])


def _local_folder(store: Any) -> str | None:
    """Return the folder of a store of zarr on the local disk, or None for another store."""
    from zarr.storage import FsspecStore, LocalStore

    if type(store) is LocalStore:
        return str(store.root)
    if type(store) is FsspecStore:  # dask.array.from_zarr opens paths in this way
        from fsspec.implementations.local import LocalFileSystem

        # zarr wraps file systems that are not asynchronous.
        if type(getattr(store.fs, "sync_fs", None)) is LocalFileSystem:
            return str(store.path)
    return None


def _bounds(
    shape: tuple[int, ...], chunks: tuple[int, ...], selection: Any
) -> tuple[int, int] | None:
    """Return the first row and the row after the last one, if the first row begins a chunk."""
    if not (
        isinstance(selection, tuple)
        and len(selection) == len(shape) > 0
        and all(isinstance(part, slice) and part.step in (None, 1) for part in selection)
        and chunks[1:] == shape[1:]
    ):
        return None
    (start, stop), *others = (
        part.indices(size)[:2] for part, size in zip(selection, shape, strict=True)
    )
    if any(bounds != (0, size) for bounds, size in zip(others, shape[1:], strict=True)):
        return None
    return (start, stop) if start < stop and start % chunks[0] == 0 else None


def _decode(chunks: _Chunks, number: int, out: _Bytes) -> bool:
    """Fill the memory of a chunk; return False if its file is missing, damaged or unusual."""
    place = (number,) + (0,) * (len(chunks.array.shape) - 1)
    try:
        stored = _stored(f"{chunks.folder}/{chunks.array.metadata.encode_chunk_key(place)}")
        # A codec does not fail if it decodes fewer bytes than there is room for.
        if _decoded_nbytes(bytes(stored[:_HEADER_NBYTES])) != out.size:
            return False
        chunks.codec.decode(stored, out=out)
    except (OSError, RuntimeError, ValueError):
        return False
    return True


def _stored(path: str) -> _Bytes:
    """Read a file into the buffer of this thread, or into new memory if it is large."""
    with FileIO(path) as file:
        nbytes = os.fstat(file.fileno()).st_size
        kept = nbytes <= _KEPT_NBYTES
        stored = scratch("stored chunk", (nbytes,), np.uint8) if kept else aligned_bytes(nbytes)
        n_read = 0
        while n_read < nbytes:
            found = file.readinto(stored[n_read:].data)
            if not found:
                raise OSError(f"{path} became shorter while it was read")
            n_read += found
    return stored


def _decoded_nbytes(header: bytes) -> int:
    """Return the number of decoded bytes by the header of a frame; -1 if it is not given there.

    The layouts are those of zstd (RFC 8878, 3.1.1.1) and of Blosc 1, whose first byte is the
    version of its format, 2.
    """
    if header[:4] != _ZSTD_MAGIC:
        return int.from_bytes(header[4:8], "little") if header[:1] == b"\x02" else -1
    if len(header) < 5:
        return -1
    descriptor = header[4]
    size_flag, single_segment = descriptor >> 6, bool(descriptor & 0x20)
    n_size = (1 if single_segment else 0, 2, 4, 8)[size_flag]
    n_dictionary = (0, 1, 2, 4)[descriptor & 3]
    start = 5 + (not single_segment) + n_dictionary
    field = header[start : start + n_size]
    if not n_size or len(field) < n_size:
        return -1
    return int.from_bytes(field, "little") + (256 if n_size == 2 else 0)
