"""Clean rows as a file, which lives from the first pass of an ingest to the second.

A file has the length of a header, the header in JSON, the values and masks of each column, the
hashes, and a checksum of all of that. Each part begins at a multiple of 8 bytes, so that values are
used where they were read. Values can be compressed, which takes more time than to write and read
them as they are, and makes numbers of many digits hardly smaller.
"""

from __future__ import annotations

import json
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from storage.chunk_files import encode_chunk
from storage.ingestion.checked_rows import CleanColumn, CleanRows

__all__ = ["packed_rows", "unpacked_rows"]

_LENGTH = _CHECKSUM = 4
_ALIGNED = 8


def packed_rows(rows: CleanRows, *, compressed: bool) -> list[bytes | memoryview]:
    """Return the content of the file of one row or more, in parts.

    Parameters
    ----------
    rows : CleanRows
        The rows.
    compressed : bool
        Whether values and masks are compressed.
    """
    columns: list[Any] = []
    parts: list[Any] = []
    for name, column in rows.columns.items():
        found = [_integers(column.values)]
        if column.missing is not None:
            found.append(np.packbits(column.missing))
        contents = [encode_chunk(each) if compressed else each.view(np.uint8) for each in found]
        columns.append([name, column.values.dtype.str, column.texts, [*map(len, contents)]])
        for content in contents:
            parts += [content, bytes(-len(content) % _ALIGNED)]
    n_words = 0
    if rows.hashes is not None:  # they cannot be compressed
        n_words = rows.hashes.shape[1]
        parts.append(np.ascontiguousarray(rows.hashes).reshape(-1).view(np.uint8))
    header = json.dumps([rows.n_rows, compressed, columns, n_words]).encode()
    header += b" " * (-(_LENGTH + len(header)) % _ALIGNED)
    parts = [len(header).to_bytes(_LENGTH, "little"), header, *parts]
    checksum = 0
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    return [*(memoryview(part) for part in parts), checksum.to_bytes(_CHECKSUM, "little")]


def unpacked_rows(data: bytes) -> CleanRows:
    """Return the rows of a file with this content.

    Raises
    ------
    ValueError
        When the file is damaged.
    """
    content = np.frombuffer(data, np.uint8)[:-_CHECKSUM]
    if google_crc32c.value(content) != int.from_bytes(data[-_CHECKSUM:], "little"):
        raise ValueError("the file is damaged: its checksum is wrong")
    at = _LENGTH + int.from_bytes(content[:_LENGTH].tobytes(), "little")
    n_rows, compressed, stored, n_words = json.loads(content[_LENGTH:at].tobytes())
    columns = {}
    for name, dtype, texts, sizes in stored:
        found = []
        for size in sizes:
            part = content[at : at + size]
            found.append(blosc.decompress(part) if compressed else part)
            at += size + -size % _ALIGNED
        missing = None
        if len(found) > 1:
            bits = np.frombuffer(found[1], np.uint8)
            missing = np.unpackbits(bits, count=n_rows).astype(bool)
        columns[name] = CleanColumn(np.frombuffer(found[0], dtype), missing, tuple(texts))
    hashes = None
    if n_words:
        hashes = content[at : at + 8 * n_words * n_rows].view(np.uint64).reshape(n_rows, n_words)
    return CleanRows(columns, n_rows, hashes)


def _integers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # Blosc does not know times: it gets their integers.
    return np.ascontiguousarray(values).view(f"u{values.itemsize}")
