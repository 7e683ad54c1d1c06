"""Write the file of one chunk, without zarr.

The file is a Blosc frame followed by the frame's CRC-32C. These are the bytes that zarr's codecs
``bytes`` (of sparse rows: ``vlen-bytes``), ``blosc`` and ``crc32c`` write and read, so zarr alone
can open the arrays (tests compare both).

If Blosc cannot make a chunk clearly smaller, it is stored uncompressed, still in a Blosc frame.
Noise in the low bits of floats hardly compresses (4-6 %), yet undoing the shuffle costs more
than reading the file.
"""

from __future__ import annotations

from typing import Any, cast

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.entries import StoredChunk
from storage.layout import MAX_CHUNK_NBYTES, ArrayLayout
from storage.sparse_rows import encode_rows
from storage.store import Store

__all__ = ["TRAILER", "count_nan", "encode_chunk", "encoded_file", "write_chunk"]

# zarr sets this too, but a worker that only reads never imports zarr. Blosc's own threads would
# multiply with Dask's, and its global state takes a lock.
blosc.use_threads = False

#: Bytes of the checksum at the end of a file.
TRAILER = 4

# Undoing the shuffle costs about 0.25 ns a byte. With a disk of 0.5 GB/s, compression must save an
# eighth of the bytes to be faster. The choice is made for each chunk and needs no other codec: the
# frame's header records how it was compressed.
_WORTH_COMPRESSING = 7 / 8

#: Number of parts of a large chunk that are compressed first, and their bytes.
_SAMPLED, _PART_NBYTES = 8, 2**15
#: A chunk is large if it has this many times the bytes of these parts.
_LARGE = 8
# The parts of chunks that are alike everywhere become up to a fiftieth larger than the chunks.
_HOPELESS = 0.9


def encode_chunk(values: npt.NDArray[np.generic]) -> bytes:
    """Return the Blosc frame of a whole, contiguous, little-endian chunk, without the checksum."""
    if not _is_hopeless(values):
        frame = cast(bytes, blosc.compress(values, b"lz4", 5, blosc.SHUFFLE))
        if len(frame) <= _WORTH_COMPRESSING * values.nbytes:
            return frame
    return cast(bytes, blosc.compress(values, b"lz4", 0, blosc.NOSHUFFLE))


def _is_hopeless(values: npt.NDArray[np.generic]) -> bool:
    """Return whether parts of a large chunk show that it is not worth compressing.

    To find this by compressing the chunk takes ten times as long.
    """
    if values.nbytes < _LARGE * _SAMPLED * _PART_NBYTES:
        return False
    flat = values.reshape(-1)
    length = _PART_NBYTES // values.itemsize
    starts = np.linspace(0, len(flat) - length, _SAMPLED).astype(np.int64).tolist()
    sample = np.concatenate([flat[start : start + length] for start in starts])
    return len(blosc.compress(sample, b"lz4", 5, blosc.SHUFFLE)) > _HOPELESS * sample.nbytes


def write_chunk(
    store: Store,
    layout: ArrayLayout,
    chunk: int,
    values: Any,
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
    values : ndarray or csr_array
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


def encoded_file(layout: ArrayLayout, values: Any) -> tuple[tuple[bytes, bytes], StoredChunk]:
    """Return the parts of a chunk's file and the manifest's entry, as :func:`write_chunk` does."""
    rows = values.shape[0]
    stored: npt.NDArray[np.generic]
    nnz = None
    if layout.sparse:
        n_nan, nnz = count_nan(values.data), int(values.nnz)
        stored = encode_rows(values, layout.dtype, layout.chunk_rows)
        if stored.nbytes > MAX_CHUNK_NBYTES:
            raise ValueError(
                f"a chunk of {rows:,} sparse rows of {layout.name} would take {stored.nbytes:,} "
                f"bytes, more than the compressor's {MAX_CHUNK_NBYTES:,}: its rows have more "
                f"entries than others; ask for a smaller chunk_nbytes"
            )
    else:
        stored = np.ascontiguousarray(values, dtype=layout.stored_dtype)
        n_nan = count_nan(stored)
    if not layout.sparse and rows < layout.chunk_rows:
        padded = np.full(layout.chunk_shape, layout.fill_value, dtype=stored.dtype)
        padded[:rows] = stored
        stored = padded
    frame = encode_chunk(stored)
    checksum = int(google_crc32c.value(frame))
    trailer = checksum.to_bytes(TRAILER, "little")
    return (frame, trailer), StoredChunk(rows, len(frame) + TRAILER, checksum, n_nan, nnz)


def count_nan(values: npt.NDArray[Any]) -> int:
    """Return the number of NaN."""
    return int(np.count_nonzero(np.isnan(values))) if values.dtype.kind == "f" else 0
