"""``manifest.json``: every chunk that belongs to the data set, and the mark that all are there.

It is written last, in one atomic step. A group without it is a data set that was not finished;
a chunk that it lists and that is gone is an error, where Zarr alone reads fill values.

The file is JSON a person can read, one chunk a line. Its first line holds the identity of the
data set, so that a reader can check it without parsing the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from storage.entries import ChunkEntries, StoredChunk
from storage.errors import DatasetIncomplete, MetadataCorrupt
from storage.layout import ArrayLayout

__all__ = ["MANIFEST", "Manifest", "identity_line"]

MANIFEST = "manifest.json"


def identity_line(dataset_id: str) -> bytes:
    """First line of the manifest of the data set with this identity."""
    return f'{{"dataset_id": "{dataset_id}",\n'.encode()


@dataclass(frozen=True)
class Manifest:
    """Chunks of a data set.

    Attributes
    ----------
    dataset_id : str
        Identity of the writing; the schema has the same.
    arrays : mapping of str to ChunkEntries
        For each array its chunks, in the order of their rows.
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
        """NaN in one array."""
        return int(self.arrays[array].n_nan.sum())

    def write(self, folder: Path, layouts: Sequence[ArrayLayout]) -> None:
        """Write the file into `folder`: the commit of everything written there before."""
        body = _body(self.arrays, {layout.name: layout for layout in layouts})
        text = identity_line(self.dataset_id) + _checksum_line(body) + body
        partial = folder / f"{MANIFEST}.partial"
        with partial.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(folder / MANIFEST)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Manifest of the data set in `folder`.

        Raises
        ------
        DatasetIncomplete
            When there is none.
        MetadataCorrupt
            When it is damaged.
        """
        try:
            text = (folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            raise DatasetIncomplete(
                f"{folder} is a half-written data set: it has no {MANIFEST}, which is written "
                f"last. Write it again with overwrite=True, or copy it again"
            ) from None
        try:
            first, checksum, body = text.split(b"\n", 2)
            if checksum + b"\n" != _checksum_line(body):
                raise ValueError("its checksum is wrong")
            fields = json.loads(text)
            if first + b"\n" != identity_line(fields["dataset_id"]):
                raise ValueError("its first line is not its identity")
            arrays = {name: _columns(chunks) for name, chunks in fields["arrays"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MetadataCorrupt(
                f"{folder / MANIFEST} is damaged ({error}): restore it from a copy, or write "
                f"the data set again"
            ) from error
        return cls(fields["dataset_id"], arrays)

    def check(self, folder: Path, layouts: Sequence[ArrayLayout]) -> None:
        """Compare with the arrays' own metadata; they must tell the same grid."""
        expected = {layout.name: _grid(layout) for layout in layouts}
        found = {name: chunks.rows for name, chunks in self.arrays.items()}
        for name in expected.keys() | found.keys():
            if not np.array_equal(expected.get(name, ()), found.get(name, ())):
                raise MetadataCorrupt(
                    f"{folder}: {MANIFEST} and {name}/zarr.json do not describe the same chunks "
                    f"of array {name!r}; restore them from a copy, or write the data set again"
                )


def _columns(chunks: Sequence[Mapping[str, Any]]) -> ChunkEntries:
    n = len(chunks)
    return ChunkEntries(
        np.fromiter((each["rows"] for each in chunks), np.int64, n),
        np.fromiter((each["bytes"] for each in chunks), np.uint32, n),
        np.fromiter((int(each["crc32c"], 16) for each in chunks), np.uint32, n),
        np.fromiter((each["nan"] for each in chunks), np.int64, n),
    )


def _grid(layout: ArrayLayout) -> npt.NDArray[np.int64]:
    """Rows of each chunk."""
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


def _checksum_line(body: bytes) -> bytes:
    return f'"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
