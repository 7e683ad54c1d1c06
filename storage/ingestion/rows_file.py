"""Clean rows as a file, which lives from the first pass of an ingest to the second.

A file has the length of a header, the header in JSON, the compressed values and masks of each
column, and a checksum of all of that.
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


def packed_rows(rows: CleanRows) -> list[bytes]:
    """Return the content of the file of one row or more, in parts."""
    columns, parts = [], []
    for name, column in rows.columns.items():
        found = [_packed(column.values)]
        if column.missing is not None:
            found.append(_packed(np.packbits(column.missing)))
        sizes = [len(part) for part in found]
        columns.append([name, column.values.dtype.str, column.texts, sizes])
        parts += found
    header = json.dumps([rows.n_rows, columns]).encode()
    parts = [len(header).to_bytes(_LENGTH, "little"), header, *parts]
    checksum = 0
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    return [*parts, checksum.to_bytes(_CHECKSUM, "little")]


def unpacked_rows(data: npt.NDArray[np.uint8]) -> CleanRows:
    """Return the rows of a file with this content.

    Raises
    ------
    ValueError
        When the file is damaged.
    """
    content = data[:-_CHECKSUM]
    if google_crc32c.value(content) != int.from_bytes(data[-_CHECKSUM:].tobytes(), "little"):
        raise ValueError("the file is damaged: its checksum is wrong")
    at = _LENGTH + int.from_bytes(content[:_LENGTH].tobytes(), "little")
    n_rows, stored = json.loads(content[_LENGTH:at].tobytes())
    columns = {}
    for name, dtype, texts, sizes in stored:
        found = []
        for size in sizes:
            found.append(blosc.decompress(content[at : at + size]))
            at += size
        missing = None
        if len(found) > 1:
            bits = np.frombuffer(found[1], np.uint8)
            missing = np.unpackbits(bits, count=n_rows).astype(bool)
        columns[name] = CleanColumn(np.frombuffer(found[0], dtype), missing, tuple(texts))
    return CleanRows(columns, n_rows)


def _packed(values: npt.NDArray[Any]) -> bytes:
    # Blosc does not know times: it gets their integers.
    return encode_chunk(np.ascontiguousarray(values).view(f"u{values.itemsize}"))
