"""``manifest.json``: the list of all chunks of a data set, and the mark that it is complete.

It is written last, in one atomic step. A group without it is a data set that was not finished. If a
listed chunk is missing, reading it raises an error; zarr alone would read fill values. The files of
metadata are listed, too: a changed name or label is noticed like a changed chunk.

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

from storage.entries import ChunkEntries, StoredChunk, StoredFile
from storage.errors import DatasetIncomplete, MetadataCorrupt
from storage.layout import ArrayLayout
from storage.metadata import damaged, read_metadata
from storage.store import Bytes, Store

__all__ = ["MANIFEST", "Manifest", "check_number_of_chunks", "identity_line"]

MANIFEST = "manifest.json"

_ARRAY = re.compile(rb'"(?P<name>\w+)": \[\n(?P<entries>[^\]]*)\n\]')
_FILE = re.compile(rb'"([^"\n]+)": \{"bytes": (\d{1,15}), "crc32c": "([0-9a-f]{8})"\},?')
#: Number of bytes of entries that are parsed at once.
_PIECE = 2**20
#: The largest manifest, of about two million chunks, and the longest line of a chunk.
_MAX_NBYTES = 2**28
_MAX_LINE = 200
_MAX_DIGITS = 18
#: LZ4 cannot make values smaller by more than this factor.
_MOST_COMPRESSED = 256

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
    files : mapping of str to StoredFile or None
        The files of metadata by their keys. None if an older release wrote the manifest: it did not
        list them.
    """

    dataset_id: str
    arrays: Mapping[str, ChunkEntries]
    files: Mapping[str, StoredFile] | None = None

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
        body = _files_text(self.files) + _body(
            self.arrays, {layout.name: layout for layout in layouts}
        )
        return identity_line(self.dataset_id) + _checksum_line(body) + body

    @classmethod
    def read(cls, store: Store, n_chunks: int) -> Manifest:
        """Read the manifest of the data set in `store`, which has no more than `n_chunks` chunks.

        Raises
        ------
        DatasetIncomplete
            When there is no manifest.
        MetadataCorrupt
            When the manifest is damaged.
        """
        try:
            text = read_metadata(store, MANIFEST, _largest(n_chunks))
        except FileNotFoundError:
            raise DatasetIncomplete(
                f"{store.location} is a half-written data set: it has no {MANIFEST}, which is "
                f"written last. Write it again with overwrite=True, or copy it again"
            ) from None
        except IsADirectoryError as error:
            raise damaged(store, MANIFEST, "it is a folder") from error
        try:
            identity, checksum, body = _cut(text)
            if checksum != _checksum_line(body):
                raise ValueError("its checksum is wrong")
            dataset_id = json.loads(identity.removesuffix(b",\n") + b"}")["dataset_id"]
            if identity != identity_line(dataset_id):
                raise ValueError("its first line is not its identity")
            return cls(dataset_id, _arrays(text), _files(text))
        except (
            ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
        ) as error:  # fmt: skip
            raise damaged(store, MANIFEST, error) from error

    def check_file(self, store: Store, key: str, found: StoredFile | None) -> None:
        """Compare a file of metadata with its entry.

        Parameters
        ----------
        store : Store
            Files of the data set.
        key : str
            Name of the file.
        found : StoredFile or None
            Size and checksum of the file; None if it does not exist.

        Raises
        ------
        MetadataCorrupt
            When the file is not the one that the manifest lists.
        """
        listed = None if self.files is None else self.files.get(key)
        if self.files is None or listed == found:
            return
        if found is None:
            problem = f"{MANIFEST} lists it, but it is missing"
        elif listed is None:
            problem = f"{MANIFEST} does not list it"
        else:
            problem = f"it was changed: its size or checksum is not that in {MANIFEST}"
        raise damaged(store, key, problem)

    def check(self, store: Store, layouts: Sequence[ArrayLayout]) -> None:
        """Check that the arrays' own metadata describes the same grid of chunks."""
        expected = {layout.name: layout for layout in layouts}
        for name in sorted(expected.keys() | self.arrays.keys()):
            layout, chunks = expected.get(name), self.arrays.get(name)
            if layout is None or chunks is None or not _same_grid(layout, chunks):
                raise MetadataCorrupt(
                    f"{store.location}: {MANIFEST} and {name}/zarr.json do not describe the same "
                    f"chunks of array {name!r}; restore them from a copy, or write the data set "
                    f"again"
                )
            if layout.chunk_nbytes > _MOST_COMPRESSED * int(np.min(chunks.nbytes)):
                raise damaged(store, MANIFEST, f"a chunk of {name} is too short to hold its rows")


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
    if not len(quotes):
        raise ValueError("an array has no chunks")
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


def _largest(n_chunks: int) -> int:
    """Return the largest size of a manifest of so many chunks."""
    return min(_MAX_NBYTES, _MAX_LINE * (n_chunks + 32))


def check_number_of_chunks(layouts: Sequence[ArrayLayout]) -> None:
    """Check that a manifest can list all chunks.

    Raises
    ------
    ValueError
        When there are too many.
    """
    n_chunks = sum(layout.n_chunks for layout in layouts)
    if n_chunks * _MAX_LINE > _MAX_NBYTES:
        raise ValueError(
            f"a data set may have {_MAX_NBYTES // _MAX_LINE:,} chunks, and this one would have "
            f"{n_chunks:,}: ask for larger ones with chunk_nbytes"
        )


def _same_grid(layout: ArrayLayout, chunks: ChunkEntries) -> bool:
    # The number is compared first, because metadata can declare more chunks than fit into memory.
    return layout.n_chunks == len(chunks) and np.array_equal(_grid(layout), chunks.rows)


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


def _files_text(files: Mapping[str, StoredFile] | None) -> bytes:
    if files is None:
        return b""
    lines = ",\n".join(
        f'"{key}": {{"bytes": {file.nbytes}, "crc32c": "{file.checksum:08x}"}}'
        for key, file in files.items()
    )
    return f'"files": {{\n{lines}\n}},\n'.encode()


def _files(text: bytes) -> dict[str, StoredFile] | None:
    """Parse the entries of the files of metadata, which are on the lines before the arrays."""
    lines = text[: text.index(b'"arrays": {\n')].split(b"\n")[2:-1]
    if not lines:
        return None
    entries = [_FILE.fullmatch(line) for line in lines[1:-1]]
    if (lines[0], lines[-1]) != (b'"files": {', b"},") or None in entries:
        raise ValueError("its list of files is wrong")
    return {
        entry[1].decode(): StoredFile(int(entry[2]), int(entry[3], 16))
        for entry in entries
        if entry is not None
    }


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
