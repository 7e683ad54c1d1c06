"""Decode the Blosc frame of a chunk, whose checksum was compared before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.clock import decoding_timed
from storage.layout import ArrayLayout
from storage.sparse_rows import decode_rows
from storage.store import Bytes

__all__ = ["HEADER", "BadBytes", "check_header", "decode", "decode_sparse", "is_compressed"]

#: Bytes of the header of a frame.
HEADER = 16
_STORED_AS_IS = 0x2

# LZ4 cannot make bytes smaller by more than this factor.
_MOST_COMPRESSED = 256


class BadBytes(Exception):
    """A file's bytes are wrong; the caller knows which file it is."""


def is_compressed(header: Bytes) -> bool:
    """Return whether the values of a frame are compressed."""
    return not header[2] & _STORED_AS_IS


def check_header(header: Bytes, nbytes: int, frame_nbytes: int) -> None:
    """Compare the sizes that a frame's header gives with those of the values and of the frame."""
    decoded, _, framed = np.frombuffer(header[4:HEADER], dtype="<u4").tolist()
    if (decoded, framed) != (nbytes, frame_nbytes):
        raise BadBytes(
            f"its header gives a size of {framed} bytes for {decoded} bytes of values, but it has "
            f"{frame_nbytes} bytes, and a chunk of this array holds {nbytes} bytes of values"
        )


def decode(
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


def decode_sparse(
    frame: Bytes, layout: ArrayLayout, chunk: int, columns: Sequence[int] | None
) -> Any:
    """Return the wanted columns of a chunk of sparse rows."""
    nbytes = int.from_bytes(frame[4:8].tobytes(), "little")
    if nbytes > _MOST_COMPRESSED * frame.size:
        raise BadBytes(f"its header gives a size of {nbytes} bytes, too many for its own size")
    content = np.empty(nbytes, dtype=np.uint8)
    _decompress(frame, content)
    start, stop = layout.rows_of(chunk)
    try:
        rows = decode_rows(content, layout.dtype, (stop - start, layout.row_shape[0]))
    except ValueError as error:
        raise BadBytes(f"it does not hold the rows of a sparse matrix ({error})") from error
    if columns is not None:
        rows = rows[:, list(columns)]
        rows.sort_indices()
    return rows


def _decompress(frame: Bytes, values: npt.NDArray[np.generic]) -> None:
    """Fill `values`, which must have the size that the frame's header gives."""
    check_header(frame[:HEADER], values.nbytes, frame.size)
    try:
        if not is_compressed(frame):
            values.reshape(-1).view(np.uint8)[...] = frame[HEADER:]
        else:
            with decoding_timed():
                blosc.decompress(frame, values)
    except (RuntimeError, ValueError) as error:
        raise BadBytes(f"Blosc cannot decode it ({error})") from error
