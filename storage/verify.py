"""Read every file of a data set and compare it with the manifest."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from storage.chunks import damaged_files, read_values
from storage.computing import compute
from storage.entries import (
    ChunkEntries,
    StoredChunk,
    StoredFile,
    expected_of,
    pack_expected,
)
from storage.errors import ChunkCorrupt, DatasetCorrupt
from storage.layout import HASHES, ArrayLayout
from storage.manifest import Manifest
from storage.metadata import read_metadata
from storage.progress import stage
from storage.store import Store
from storage.versions import read_versions, with_later_files

if TYPE_CHECKING:
    from storage.arrays import StoredArrays

__all__ = ["VerifyReport", "damaged_chunks", "verify_arrays", "verify_dataset", "verify_files"]

# Bytes of one task: large enough that the scheduler of a cluster sees few tasks.
_TASK_NBYTES = 64 * 2**20
# Files that a task requests at once from an object store.
_REQUESTS = 64


@dataclass(frozen=True)
class VerifyReport:
    """How much :func:`storage.verify` has read. All of it matched the manifest.

    Parameters
    ----------
    chunks : int
        Number of chunks that were read and compared.
    nbytes : int
        Size of these chunks on disk, in bytes.
    nan : dict of str to int
        Number of NaN in each array.
    seconds : float
        Wall time.

    Examples
    --------
    >>> import storage
    >>> storage.VerifyReport(chunks=2, nbytes=1_024, nan={"X": 0, "y": 0}, seconds=0.1).chunks
    2
    """

    chunks: int
    nbytes: int
    nan: dict[str, int]
    seconds: float


def verify_dataset(data: StoredArrays, *, decode: bool) -> VerifyReport:
    """Check all files of metadata and all chunks of an open data set.

    Parameters
    ----------
    data : StoredArrays
        The data set.
    decode : bool
        Whether to decode the chunks and to count their values, too.

    Raises
    ------
    MetadataCorrupt, DatasetCorrupt
        When a file of metadata or a chunk is damaged.
    DatasetReplaced
        When another data set has taken the place of this one.
    """
    try:
        # Versions that were appended since have rewritten zarr.json.
        newer = read_versions(data.store, data.schema.dataset_id)
        verify_files(data.store, with_later_files(data.manifest, newer))
        return verify_arrays(data.store, data.layouts.values(), data.manifest, decode=decode)
    except DatasetCorrupt:
        # If another data set has replaced this one, its chunks are not damaged: report that.
        data.reader("X").check_identity()
        raise


def verify_files(store: Store, manifest: Manifest) -> None:
    """Check all files of metadata that the manifest lists.

    Raises
    ------
    MetadataCorrupt
        When a file is missing or changed.
    """
    for key in manifest.listed_files:
        try:
            found = StoredFile.of(read_metadata(store, key))
        except (FileNotFoundError, IsADirectoryError):
            found = None
        manifest.check_file(store, key, found)


def verify_arrays(
    store: Store, layouts: Iterable[ArrayLayout], manifest: Manifest, *, decode: bool
) -> VerifyReport:
    """Check all chunks in parallel, on the active Dask cluster or on threads.

    Raises
    ------
    DatasetCorrupt
        When a chunk is damaged; the message names all of them.
    """
    started = time.perf_counter()
    bad = damaged_chunks(store, layouts, manifest, decode=decode)
    if bad:
        raise DatasetCorrupt.from_chunks(store.location, bad, manifest.n_chunks)
    nan = {name: manifest.n_nan(name) for name in manifest.arrays if name != HASHES}
    seconds = time.perf_counter() - started
    return VerifyReport(manifest.n_chunks, manifest.nbytes, nan, seconds)


def damaged_chunks(
    store: Store, layouts: Iterable[ArrayLayout], manifest: Manifest, *, decode: bool
) -> list[ChunkCorrupt]:
    """Read all chunks in parallel, and return an error for each damaged one."""
    check = _decode_chunks if decode else _check_files
    tasks = [
        # A single opaque callable: Dask would search separate arguments for tasks, one by one.
        delayed(partial(check, store, layout, first, chunks), traverse=False)(
            dask_key_name=f"verify-{layout.name}-{uuid.uuid4().hex}"
        )
        for layout in layouts
        for first, chunks in _runs(layout, manifest.arrays[layout.name], decode=decode)
    ]
    with stage("verify", len(tasks)):
        return [chunk for found in compute(*tasks) for chunk in found]


def _runs(
    layout: ArrayLayout, chunks: ChunkEntries, *, decode: bool
) -> Iterator[tuple[int, ChunkEntries]]:
    nbytes = max(1, int(np.max(chunks.nbytes)))
    if decode:  # the decoded size of sparse rows is not listed
        nbytes = max(nbytes, layout.chunk_nbytes)
    length = max(1, _TASK_NBYTES // nbytes)
    for first in range(0, len(chunks), length):
        yield first, chunks.run(first, first + length)


def _check_files(
    store: Store, layout: ArrayLayout, first: int, chunks: ChunkEntries
) -> list[ChunkCorrupt]:
    expected = expected_of(pack_expected(chunks))
    bad: list[ChunkCorrupt] = []
    for start in range(0, len(expected), _REQUESTS):
        some = expected[start : start + _REQUESTS]
        numbers = range(first + start, first + start + len(some))
        bad += map(_without_frames, damaged_files(store, layout, numbers, some))
    return bad


def _decode_chunks(
    store: Store, layout: ArrayLayout, first: int, chunks: ChunkEntries
) -> list[ChunkCorrupt]:
    buffer = None if layout.sparse else layout.empty_rows(layout.chunk_rows)
    bad = []
    for index, expected in enumerate(chunks, first):
        try:
            _decode_chunk(store, layout, index, expected, buffer)
        except ChunkCorrupt as error:
            bad.append(_without_frames(error))
    return bad


def _without_frames(error: ChunkCorrupt) -> ChunkCorrupt:
    # The frames of the tracebacks would keep the bytes of the files alive.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _decode_chunk(
    store: Store,
    layout: ArrayLayout,
    index: int,
    expected: StoredChunk,
    buffer: npt.NDArray[np.generic] | None,
) -> None:
    sizes = (expected.nbytes, expected.checksum)
    values, n_nan = read_values(store, layout, index, sizes, buffer)
    problem = None
    if n_nan != expected.n_nan:
        problem = f"it holds {n_nan} NaN, the manifest says {expected.n_nan}"
    elif expected.nnz is not None and expected.nnz != len(values):
        problem = f"it holds {len(values)} values, the manifest says {expected.nnz}"
    if problem is not None:
        key = layout.key(index)
        rows = layout.rows_of(index)
        raise ChunkCorrupt(store.location, layout.name, index, rows, key, problem)
