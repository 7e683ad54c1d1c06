"""``manifest.json``: the list of all chunks of a data set, and the mark that it is complete.

It is written last, in one atomic step. A group without it is a data set that was not finished. If a
listed chunk is missing, reading it raises an error; zarr alone would read fill values. The files of
metadata are listed, too: a changed name or label is noticed like a changed chunk.

:mod:`storage.manifest_text` describes the text of the file, and :mod:`storage.versions` the
manifests of rows that were appended later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from storage.entries import ChunkEntries, StoredFile
from storage.errors import DatasetIncomplete, MetadataCorrupt
from storage.layout import ArrayLayout
from storage.manifest_text import (
    MAX_LINE,
    arrays_text,
    checked_text,
    files_text,
    parse_arrays,
    parse_files,
    signed_text,
)
from storage.metadata import damaged, read_metadata
from storage.store import Store

__all__ = ["MANIFEST", "MAX_NBYTES", "Manifest", "check_number_of_chunks"]

MANIFEST = "manifest.json"

#: The largest manifest, of about two million chunks.
MAX_NBYTES = 2**28
#: LZ4 cannot make values smaller by more than this factor.
_MOST_COMPRESSED = 256


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
    later_files : mapping of str to sequence of StoredFile
        The same files as later versions have written them, and the files that they have added.
    """

    dataset_id: str
    arrays: Mapping[str, ChunkEntries]
    files: Mapping[str, StoredFile] | None = None
    later_files: Mapping[str, Sequence[StoredFile]] = field(default_factory=dict)

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

    @property
    def nnz(self) -> int | None:
        """Number of stored values of a sparse X, zeros included; None if it is not known."""
        nnz = self.arrays["X"].nnz
        return None if nnz is None else int(nnz.sum())

    @property
    def listed_files(self) -> list[str]:
        """Names of all files of metadata."""
        return sorted({*(self.files or ()), *self.later_files})

    def to_bytes(self, layouts: Sequence[ArrayLayout]) -> bytes:
        """Return the content of the file. Writing it commits everything that was written before."""
        body = files_text(self.files) + arrays_text(self.arrays, layouts)
        return signed_text(self.dataset_id, body)

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
            return cls(checked_text(text), parse_arrays(text), parse_files(text))
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
        later = self.later_files.get(key, ())
        if self.files is None or (listed == found and not (found is None and later)):
            return
        if found in later:
            return
        if found is None:
            problem = f"{MANIFEST} lists it, but it is missing"
        elif listed is None and not later:
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
            if not _values_fit(layout, chunks):
                raise damaged(store, MANIFEST, f"a chunk of {name} is too short to hold its values")


def _largest(n_chunks: int) -> int:
    """Return the largest size of a manifest of so many chunks."""
    return min(MAX_NBYTES, MAX_LINE * (n_chunks + 32))


def check_number_of_chunks(layouts: Sequence[ArrayLayout]) -> None:
    """Check that a manifest can list all chunks.

    Raises
    ------
    ValueError
        When there are too many.
    """
    n_chunks = sum(layout.n_chunks for layout in layouts)
    if n_chunks * MAX_LINE > MAX_NBYTES:
        raise ValueError(
            f"a data set may have {MAX_NBYTES // MAX_LINE:,} chunks, and this one would have "
            f"{n_chunks:,}: ask for larger ones with chunk_nbytes"
        )


def _same_grid(layout: ArrayLayout, chunks: ChunkEntries) -> bool:
    # The number is compared first, because metadata can declare more chunks than fit into memory.
    return layout.n_chunks == len(chunks) and np.array_equal(_grid(layout), chunks.rows)


def _values_fit(layout: ArrayLayout, chunks: ChunkEntries) -> bool:
    """Return whether each chunk is long enough for its number of stored values, if it is known."""
    if chunks.nnz is None:
        return True
    most = chunks.nbytes.astype(np.int64) * _MOST_COMPRESSED
    return layout.sparse and bool(np.all(chunks.nnz <= most))


def _grid(layout: ArrayLayout) -> npt.NDArray[np.int64]:
    """Return the number of rows of each chunk."""
    rows = np.full(layout.n_chunks, layout.chunk_rows, dtype=np.int64)
    start, stop = layout.rows_of(layout.n_chunks - 1)
    rows[-1] = stop - start
    return rows
