"""The text of manifests: one chunk or file of metadata on each line, under a checksum.

The text is JSON that a person can read. The first line holds the identity of the data set, so that
a reader can check it without parsing the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from storage.entries import ChunkEntries, StoredChunk, StoredFile
from storage.layout import ArrayLayout
from storage.store import Bytes

__all__ = [
    "MAX_LINE",
    "arrays_text",
    "checked_text",
    "files_text",
    "identity_line",
    "parse_arrays",
    "parse_files",
    "signed_text",
]

#: The longest line of a chunk.
MAX_LINE = 200

_ARRAY = re.compile(rb'"(?P<name>\w+)": \[\n(?P<entries>[^\]]*)\n\]')
_FILE = re.compile(rb'"([^"\n]+)": \{"bytes": (\d{1,15}), "crc32c": "([0-9a-f]{8})"\},?')
#: Number of bytes of entries that are parsed at once.
_PIECE = 2**20
_MAX_DIGITS = 18

#: Quotes on the line of a chunk: 14, or 16 if it has the number of stored values.
_QUOTES, _QUOTES_WITH_NNZ = 14, 16

Column = npt.NDArray[np.integer[Any]]


def identity_line(dataset_id: str) -> bytes:
    """Return the first line of the manifests of the data set with this identity."""
    return f'{{"dataset_id": "{dataset_id}",\n'.encode()


def signed_text(dataset_id: str, body: bytes) -> bytes:
    """Return a whole manifest: the identity, the checksum of the body, and the body."""
    return identity_line(dataset_id) + _checksum_line(body) + body


def checked_text(text: bytes) -> str:
    """Return the identity of a manifest whose checksum is right.

    Raises
    ------
    ValueError, TypeError, LookupError
        When it is damaged.
    """
    first = text.index(b"\n") + 1
    second = text.index(b"\n", first) + 1
    # A view, because a copy may be large.
    if text[first:second] != _checksum_line(np.frombuffer(text, np.uint8, offset=second)):
        raise ValueError("its checksum is wrong")
    dataset_id = json.loads(text[:first].removesuffix(b",\n") + b"}")["dataset_id"]
    if text[:first] != identity_line(dataset_id):
        raise ValueError("its first line is not its identity")
    return str(dataset_id)


def parse_arrays(text: bytes) -> dict[str, ChunkEntries]:
    """Parse all entries of a manifest whose checksum is right, so that its format is known.

    A manifest may have a million lines, and a JSON parser would make a million dictionaries.
    """
    return {
        found["name"].decode(): _columns(text, *found.span("entries"))
        for found in _ARRAY.finditer(text)
    }


def parse_files(text: bytes) -> dict[str, StoredFile] | None:
    """Parse the entries of the files of metadata, which are on the lines before the arrays."""
    head = text[: text.index(b'"arrays": {\n')]
    if b'\n"files": {\n' not in head:
        if head.count(b"\n") > 2:
            raise ValueError("its list of files is wrong")
        return None
    lines = head[head.index(b'\n"files": {\n') + 1 :].split(b"\n")[1:-1]
    entries = [_FILE.fullmatch(line) for line in lines[:-1]]
    if lines[-1:] != [b"},"] or None in entries:
        raise ValueError("its list of files is wrong")
    return {
        entry[1].decode(): StoredFile(int(entry[2]), int(entry[3], 16))
        for entry in entries
        if entry is not None
    }


def files_text(files: Mapping[str, StoredFile] | None) -> bytes:
    """Return the lines of the files of metadata; None means no lines."""
    if files is None:
        return b""
    lines = ",\n".join(
        f'"{key}": {{"bytes": {file.nbytes}, "crc32c": "{file.checksum:08x}"}}'
        for key, file in files.items()
    )
    return f'"files": {{\n{lines}\n}},\n'.encode()


def arrays_text(arrays: Mapping[str, ChunkEntries], layouts: Sequence[ArrayLayout]) -> bytes:
    """Return the lines of the chunks, which are the last ones of each array."""
    parts = []
    by_name = {layout.name: layout for layout in layouts}
    for name, chunks in arrays.items():
        first = by_name[name].n_chunks - len(chunks)
        lines = ",\n".join(
            json.dumps(_entry(by_name[name].key(index), chunk))
            for index, chunk in enumerate(chunks, first)
        )
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return ('"arrays": {\n' + ",\n".join(parts) + "\n}}\n").encode()


def _columns(text: bytes, start: int, stop: int) -> ChunkEntries:
    pieces = []
    while start < stop:
        end = text.find(b"\n", min(start + _PIECE, stop), stop)
        end = stop if end < 0 else end
        pieces.append(_entries(np.frombuffer(text, np.uint8, end - start, start)))
        start = end
    return ChunkEntries(*map(np.concatenate, zip(*pieces, strict=True)))


def _entries(lines: Bytes) -> tuple[Column, ...]:
    """Parse the columns of :class:`ChunkEntries` from lines that :func:`_entry` has written.

    The field names and the two texts of a line are in quotes. The numbers are found by their places
    between the quotes. The number of stored values is on all lines or on none.
    """
    ends = np.flatnonzero(lines == ord("}"))
    if not len(ends):
        raise ValueError("an array has no chunks")
    found = np.flatnonzero(lines == ord('"'))
    if len(found) not in (_QUOTES * len(ends), _QUOTES_WITH_NNZ * len(ends)):
        raise ValueError("the entry of a chunk has a wrong number of fields")
    quotes = found.reshape(len(ends), -1)
    nan_ends, nnz = ends, []
    if quotes.shape[1] > _QUOTES:
        nan_ends = quotes[:, _QUOTES] - 2
        nnz = [_numbers(lines, quotes[:, _QUOTES + 1] + 3, ends)]
    checksums = lines[quotes[:, 10, None] + np.arange(1, 9)].tobytes().decode()
    return (
        _numbers(lines, quotes[:, 5] + 3, quotes[:, 6] - 2),
        _numbers(lines, quotes[:, 7] + 3, quotes[:, 8] - 2).astype(np.uint32),
        np.frombuffer(bytes.fromhex(checksums), ">u4").astype(np.uint32),
        _numbers(lines, quotes[:, 13] + 3, nan_ends),
        *nnz,
    )


def _numbers(text: Bytes, first: npt.NDArray[np.intp], stop: npt.NDArray[np.intp]) -> Column:
    """Return the whole numbers whose digits are ``text[first:stop]``."""
    values = np.zeros(len(first), np.int64)
    lengths = stop - first
    if not 1 <= np.min(lengths) <= np.max(lengths) <= _MAX_DIGITS:
        raise ValueError("the number of a chunk is too long")
    for place in range(int(np.max(lengths))):
        inside = first + place < stop
        digits = text[np.where(inside, first + place, first)] - ord("0")
        if np.any(digits > 9):
            raise ValueError("the number of a chunk has a wrong digit")
        values = np.where(inside, 10 * values + digits, values)
    return values


def _entry(key: str, chunk: StoredChunk) -> dict[str, Any]:
    entry = {
        "key": key,
        "rows": chunk.rows,
        "bytes": chunk.nbytes,
        "crc32c": f"{chunk.checksum:08x}",
        "nan": chunk.n_nan,
    }
    return entry if chunk.nnz is None else {**entry, "nnz": chunk.nnz}


def _checksum_line(body: bytes | Bytes) -> bytes:
    return f'"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
