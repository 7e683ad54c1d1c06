"""``manifest.json``: the list of all chunks of a data set, and the mark that it is complete.

It is written last, in one atomic step. A group without it is a data set that was not finished. If a
listed chunk is missing, reading it raises an error; zarr alone would read fill values.

The file is JSON that a person can read, with one chunk on each line. The first line holds the
identity of the data set, so that a reader can check it without parsing the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from storage.entries import ChunkEntries, StoredChunk
from storage.errors import DatasetIncomplete, MetadataCorrupt
from storage.layout import ArrayLayout
from storage.store import Bytes, Store

__all__ = ["MANIFEST", "Manifest", "identity_line"]

MANIFEST = "manifest.json"

_ARRAY = re.compile(rb'"(?P<name>\w+)": \[\n(?P<entries>[^\]]*)\n\]')
#: Number of bytes of entries that are parsed at once.
_PIECE = 2**20

Column = npt.NDArray[np.integer[Any]]


def identity_line(dataset_id: str) -> bytes:
    """Return the first line of the manifest of the data set with this identity."""
    return f'{{"dataset_id": "{dataset_id}",\n'.encode()


@dataclass(frozen=True)
class Manifest:
    """Chunks of a data set.

    Attributes
    ----------
    dataset_id : str
        Random identity of this version of the data set; the schema holds the same identity.
    arrays : mapping of str to ChunkEntries
        The chunks of each array, in the order of their rows.
    """

    dataset_id: str
    arrays: Mapping[str, ChunkEntries]

    @property
    def n_chunks(self) -> int:
        """Number of chunks of all arrays."""
        return sum(map(len, self.arrays.values()))

    @property
    def nbytes(self) -> int:
        """Stored bytes of all chunks."""
        return sum(int(chunks.nbytes.sum(dtype=np.int64)) for chunks in self.arrays.values())

    def n_nan(self, array: str) -> int:
        """Return the number of NaN in one array."""
        return int(self.arrays[array].n_nan.sum())

    def to_bytes(self, layouts: Sequence[ArrayLayout]) -> bytes:
        """Return the content of the file. Writing it commits everything that was written before."""
        body = _body(self.arrays, {layout.name: layout for layout in layouts})
        return identity_line(self.dataset_id) + _checksum_line(body) + body

    @classmethod
    def read(cls, store: Store) -> Manifest:
        """Read the manifest of the data set in `store`.

        Raises
        ------
        DatasetIncomplete
            When there is no manifest.
        MetadataCorrupt
            When the manifest is damaged.
        """
        try:
            text = store.read_bytes(MANIFEST)
        except FileNotFoundError:
            raise DatasetIncomplete(
                f"{store.location} is a half-written data set: it has no {MANIFEST}, which is "
                f"written last. Write it again with overwrite=True, or copy it again"
            ) from None
        try:
            identity, checksum, body = _cut(text)
            if checksum != _checksum_line(body):
                raise ValueError("its checksum is wrong")
            dataset_id = json.loads(identity.removesuffix(b",\n") + b"}")["dataset_id"]
            if identity != identity_line(dataset_id):
                raise ValueError("its first line is not its identity")
            return cls(dataset_id, _arrays(text))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MetadataCorrupt(
                f"{store.location}/{MANIFEST} is damaged ({error}): restore it from a copy, or "
                f"write the data set again"
            ) from error

    def check(self, store: Store, layouts: Sequence[ArrayLayout]) -> None:
        """Check that the arrays' own metadata describes the same grid of chunks."""
        expected = {layout.name: _grid(layout) for layout in layouts}
        found = {name: chunks.rows for name, chunks in self.arrays.items()}
        for name in expected.keys() | found.keys():
            if not np.array_equal(expected.get(name, ()), found.get(name, ())):
                raise MetadataCorrupt(
                    f"{store.location}: {MANIFEST} and {name}/zarr.json do not describe the same "
                    f"chunks of array {name!r}; restore them from a copy, or write the data set "
                    f"again"
                )


def _cut(text: bytes) -> tuple[bytes, bytes, Bytes]:
    """Return the first two lines, and the rest as a view, because a copy may be large."""
    first = text.index(b"\n") + 1
    second = text.index(b"\n", first) + 1
    return text[:first], text[first:second], np.frombuffer(text, np.uint8, offset=second)


def _arrays(text: bytes) -> dict[str, ChunkEntries]:
    """Parse all entries of a manifest whose checksum is right, so that its format is known.

    A manifest may have a million lines, and a JSON parser would make a million dictionaries.
    """
    return {
        found["name"].decode(): _columns(text, *found.span("entries"))
        for found in _ARRAY.finditer(text)
    }


def _columns(text: bytes, start: int, stop: int) -> ChunkEntries:
    pieces = []
    while start < stop:
        end = text.find(b"\n", min(start + _PIECE, stop), stop)
        end = stop if end < 0 else end
        pieces.append(_entries(np.frombuffer(text, np.uint8, end - start, start)))
        start = end
    return ChunkEntries(*map(np.concatenate, zip(*pieces, strict=True)))


def _entries(lines: Bytes) -> tuple[Column, Column, Column, Column]:
    """Parse the rows, bytes, checksums and NaN of lines that :func:`_entry` has written.

    The field names and the two texts of a line are in quotes: 14 quotes a line. The numbers are
    found by their places between the quotes.
    """
    quotes = np.flatnonzero(lines == ord('"')).reshape(-1, 14)
    checksums = lines[quotes[:, 10, None] + np.arange(1, 9)].tobytes().decode()
    return (
        _numbers(lines, quotes[:, 5] + 3, quotes[:, 6] - 2),
        _numbers(lines, quotes[:, 7] + 3, quotes[:, 8] - 2).astype(np.uint32),
        np.frombuffer(bytes.fromhex(checksums), ">u4").astype(np.uint32),
        _numbers(lines, quotes[:, 13] + 3, np.flatnonzero(lines == ord("}"))),
    )


def _numbers(text: Bytes, first: npt.NDArray[np.intp], stop: npt.NDArray[np.intp]) -> Column:
    """Return the whole numbers whose digits are ``text[first:stop]``."""
    values = np.zeros(len(first), np.int64)
    for place in range(int(np.max(stop - first))):
        inside = first + place < stop
        digits = text[np.where(inside, first + place, first)] - ord("0")
        values = np.where(inside, 10 * values + digits, values)
    return values


def _grid(layout: ArrayLayout) -> npt.NDArray[np.int64]:
    """Return the number of rows of each chunk."""
    rows = np.full(layout.n_chunks, layout.chunk_rows, dtype=np.int64)
    start, stop = layout.rows_of(layout.n_chunks - 1)
    rows[-1] = stop - start
    return rows


def _body(arrays: Mapping[str, ChunkEntries], layouts: Mapping[str, ArrayLayout]) -> bytes:
    parts = []
    for name, chunks in arrays.items():
        lines = ",\n".join(
            json.dumps(_entry(layouts[name].key(index), chunk))
            for index, chunk in enumerate(chunks)
        )
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return ('"arrays": {\n' + ",\n".join(parts) + "\n}}\n").encode()


def _entry(key: str, chunk: StoredChunk) -> dict[str, Any]:
    return {
        "key": key,
        "rows": chunk.rows,
        "bytes": chunk.nbytes,
        "crc32c": f"{chunk.checksum:08x}",
        "nan": chunk.n_nan,
    }


def _checksum_line(body: bytes | Bytes) -> bytes:
    return f'"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
