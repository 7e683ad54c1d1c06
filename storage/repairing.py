"""Write damaged chunks again, from the rows that the data set was made of.

A chunk is only replaced by a file that is, byte for byte, the one of the manifest. It is written
under another name first, and compared.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.base import compute
from dask.delayed import Delayed, delayed

from storage.appending import appendable, check_arrays
from storage.dataset import Dataset
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt, InvalidData
from storage.inputs import Array, Inputs, column_names
from storage.promises import as_promised
from storage.verify import damaged_chunks, verify_files
from storage.versions import new_folder, read_versions, with_later_files
from storage.writer import BlockWriter

if TYPE_CHECKING:
    from storage.appending import Appendable

__all__ = ["repair_chunks"]


def repair_chunks(data: Dataset, X: Any, y: Any, sample_weight: Any = None) -> tuple[str, ...]:
    """Write the damaged chunks of a data set again; return the names of their files.

    The arrays hold all rows of the version that is open, in their order.
    """
    store = appendable(data)
    inputs = Inputs.of(X, y, sample_weight)
    check_arrays(data, inputs.arrays, column_names(X))
    newer = read_versions(store, data.schema.dataset_id)
    verify_files(store, with_later_files(data.manifest, newer))
    bad = damaged_chunks(store, data.layouts.values(), data.manifest)
    if not bad:
        return ()
    arrays = inputs.with_known_rows()
    for name, array in arrays.items():
        if array.shape[0] != data.n_samples:
            raise ValueError(
                f"{name} has {int(array.shape[0]):,} rows where {store.location} has "
                f"{data.n_samples:,}: give all rows of the data set, in their order"
            )
    folder = new_folder(data.version)
    store.make_folder(folder)
    try:
        found = compute(*(_written(data, arrays[chunk.array], chunk, folder) for chunk in bad))
        _check_same(data, bad, found)
        for chunk in bad:
            _replace(store, data, chunk, folder, newest=1 + len(newer))
    finally:
        with contextlib.suppress(OSError):
            store.delete(folder)
    return tuple(chunk.key for chunk in bad)


def _written(data: Dataset, array: Array, bad: ChunkCorrupt, folder: str) -> Delayed:
    """Return a task that writes the rows of one chunk into a folder, and returns its entry."""
    layout = replace(data.layouts[bad.array], spare_folders=((0, folder),))
    writer = BlockWriter(
        data.store,
        layout,
        layout.chunk_rows,
        durable=True,
        n_codes=len(data.classes) if bad.array == "y" and data.classes else None,
        spare=True,
    )
    start, stop = bad.rows
    rows: Any = array[start:stop]
    if isinstance(rows, DaskArray):
        (rows,) = as_promised(bad.array, rows).rechunk(-1).to_delayed().ravel()
    write = delayed(partial(_write, writer, bad.chunk), traverse=False)
    task: Delayed = write(rows, dask_key_name=f"repair-{bad.array}-{uuid.uuid4().hex}")
    return task


def _write(writer: BlockWriter, chunk: int, rows: npt.NDArray[np.generic]) -> StoredChunk:
    # A block of this writer is one chunk.
    entries: Any = writer(rows, (chunk,)).flat[0]
    stored: StoredChunk = entries[0]
    return stored


def _check_same(data: Dataset, bad: Sequence[ChunkCorrupt], found: Sequence[StoredChunk]) -> None:
    others = []
    for chunk, entry in zip(bad, found, strict=True):
        entries = data.manifest.arrays[chunk.array].run(chunk.chunk, chunk.chunk + 1)
        if entry != next(iter(entries)):
            others.append(chunk.where)
    if others:
        raise InvalidData(
            f"the rows given are not those of {data.store.location}, which was not changed: their "
            f"bytes differ in {len(others)} of {len(bad)} damaged chunks, the first is "
            f"{others[0]}. Give the same rows in the same order. Another release of the "
            f"compressor can also give other bytes"
        )


def _replace(
    store: Appendable, data: Dataset, bad: ChunkCorrupt, folder: str, *, newest: int
) -> None:
    layout = data.layouts[bad.array]
    written = replace(layout, spare_folders=((0, folder),)).spare_key(bad.chunk)
    is_full = bad.rows[1] - bad.rows[0] == layout.chunk_rows
    # The key of the last chunk of an old version belongs to a newer version.
    if is_full or data.version == newest:
        store.copy(written, bad.key, replace=True)
    if not is_full and newest > 1:
        store.copy(written, layout.spare_key(bad.chunk), replace=True)
