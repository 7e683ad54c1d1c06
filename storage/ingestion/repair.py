"""Write the damaged chunks of a data set again, from the raw rows that it was made of."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
from dask.array.core import Array as DaskArray
from dask.delayed import delayed

from storage.blocks import BlockReader
from storage.chunk_files import encoded_file
from storage.computing import compute
from storage.dataset import Dataset
from storage.entries import StoredChunk
from storage.errors import ChunkCorrupt, DatasetCorrupt, InvalidData
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.duplicates import Duplicates
from storage.ingestion.encoded_source import read_rows, rows_by_split
from storage.ingestion.first_pass import count_and_keep
from storage.ingestion.lookup import columns_to_read
from storage.ingestion.pieces import encoded_arrays
from storage.ingestion.plan import columns_of_recipe
from storage.ingestion.record import IngestRecord
from storage.ingestion.source import Source
from storage.ingestion.sources import PARTITION_NBYTES, source_of
from storage.ingestion.svmlight_format import SVMLightFormat
from storage.ingestion.svmlight_ingest import format_of, refuse_for_svmlight
from storage.ingestion.svmlight_source import open_svmlight
from storage.layout import HASHES
from storage.local_files import LocalFiles
from storage.opening import open_dataset
from storage.progress import stage
from storage.store import Store
from storage.verify import VerifyReport
from storage.writer import BlockWriter

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["repair"]


def repair(
    url: Location,
    source: Any,
    *,
    csv: CSVFormat | None = None,
    partition_nbytes: int = PARTITION_NBYTES,
) -> VerifyReport:
    """Write the damaged and missing chunks of a data set again, from its source.

    All chunks are read and compared with the manifest. If some are damaged, the source is read as
    :func:`~storage.ingest` read it, by the rules and steps that are stored in the data set. Intact
    chunks are not changed. A chunk is written only if it has the size and checksum that the
    manifest lists.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        The data set; :func:`~storage.ingest` must have made it. Its metadata must be intact.
    source : str, path-like, sequence of these, frame, table or Dataset
        The raw rows, as for :func:`~storage.ingest`.
    csv : CSVFormat, optional
        How CSV files are written, as it was given to :func:`~storage.ingest`.
    partition_nbytes : int, default=16 MiB
        Approximate size of the part of the source that one task reads, in bytes.

    Returns
    -------
    VerifyReport
        The report of :func:`~storage.verify` after the repair.

    Raises
    ------
    InvalidData
        When the source has other rows than at the ingest. Chunks that would differ are not
        written. Another release of numcodecs may also compress the same rows to other bytes.
    NotADataset
        When another function than :func:`~storage.ingest` has made the data set.
    MetadataCorrupt
        When the metadata is damaged, which cannot be repaired.
    DatasetReplaced
        When the data set is overwritten meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "table.csv")
    ...     pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]}).to_csv(table, index=False)
    ...     data = storage.ingest(table, f"{folder}/d.zarr", target="y")
    ...     Path(folder, "d.zarr", "X", "c.0.0").unlink()
    ...     storage.repair(f"{folder}/d.zarr", table).chunks
    2
    """
    data = open_dataset(url)
    form = format_of(data)
    record = form or IngestRecord.of(data)
    try:
        return data.verify()
    except DatasetCorrupt as error:
        bad = error.chunks
        if not bad:
            raise
    _check_writable(data.store)
    if isinstance(record, SVMLightFormat):
        refuse_for_svmlight(csv=csv)
        found = open_svmlight(source, record, partition_nbytes)
        arrays = {"X": found.X, "y": found.y}
        rows = _SourceRows(arrays, int(found.X.shape[0]), found.description)
    else:
        rows = _rows_of_tables(data, record, source_of(source, csv, partition_nbytes))
    _write_again(data, rows, bad)
    return data.verify()


def _check_writable(store: Store) -> None:
    if not isinstance(store, LocalFiles):
        from storage.objects import Objects  # imports zarr

        if isinstance(store, Objects):
            store.check_writable()


class _SourceRows(NamedTuple):
    """The rows that a source gives now: lazy arrays, their number, and the source in words."""

    arrays: dict[str, DaskArray]
    n_rows: int
    description: str


def _rows_of_tables(data: Dataset, record: IngestRecord, source: Source) -> _SourceRows:
    plan = columns_of_recipe(source, record.recipe)
    joins = record.recipe.joins
    read = partial(read_rows, source, record.selection)
    duplicates = Duplicates.of(read, plan, joins)
    columns = columns_to_read([*plan], joins)
    splits = (0,) if record.splits is None else record.splits.splits.numbers
    counted = count_and_keep(duplicates.marked(read(columns)), (), plan, joins, splits=splits)
    again = duplicates.marked(read(columns))
    X, y, hashes = encoded_arrays(record.recipe, *rows_by_split(counted, again, splits))
    arrays = {"X": X, "y": y} if hashes is None else {"X": X, "y": y, HASHES: hashes}
    if record.splits is not None:
        order = _ranges_by_version(data, [sum(n_kept) for n_kept in counted.n_kept])
        arrays = {
            name: da.concatenate([array[start:stop] for start, stop in order])
            for name, array in arrays.items()
        }
    return _SourceRows(arrays, int(X.shape[0]), source.description)


def _ranges_by_version(data: Dataset, n_rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return the ranges of rows, which are ordered by split, in the order in which they are stored.

    Each version has its rows of the first split, then those of the next one. `n_rows` has the
    number of rows of each split in all versions.
    """
    ranges = []
    for begin, split in zip(np.cumsum([0, *n_rows]), data.splits.values(), strict=False):
        for _, start, stop in split.ranges:
            ranges.append((start, int(begin), int(begin) + stop - start))
            begin += stop - start
    return [(start, stop) for _, start, stop in sorted(ranges)]


def _write_again(data: Dataset, rows: _SourceRows, bad: Sequence[ChunkCorrupt]) -> None:
    """Write the chunks that the source gives as the manifest lists them; refuse the others."""
    if rows.n_rows != data.n_samples:
        raise InvalidData(
            f"{rows.description} gives {rows.n_rows:,} rows, and {data.url} has "
            f"{data.n_samples:,}: it is another source, or it has changed. Nothing was written"
        )
    tasks = []
    for chunk in bad:
        write = delayed(_Repair.of(data, chunk), traverse=False)
        [part] = rows.arrays[chunk.array][slice(*chunk.rows)].rechunk(-1).to_delayed().ravel()
        name = f"repair-{chunk.array}-{chunk.chunk}-{uuid.uuid4().hex}"
        tasks.append(write(part, dask_key_name=name))
    with stage("repair", len(tasks)):
        written: Sequence[bool] = compute(*tasks)
    other = [chunk for chunk, right in zip(bad, written, strict=True) if not right]
    if other:
        raise InvalidData(
            f"{rows.description} does not give the rows that were stored in {data.url}: "
            f"{len(other)} of {len(bad)} damaged chunks would differ, such as {other[0].where}. "
            f"They were not written: the source has changed, it is read with other options, or "
            f"another release of this package or of numcodecs compresses it"
        )


@dataclass(frozen=True)
class _Repair:
    """Writes one chunk, if its file is the one that the manifest lists.

    Attributes
    ----------
    writer : BlockWriter
        Converts the rows, and knows the files.
    reader : BlockReader
        Knows whether the data set was replaced.
    chunk : int
        Number of the chunk.
    expected : StoredChunk
        Its entry in the manifest.
    """

    writer: BlockWriter
    reader: BlockReader
    chunk: int
    expected: StoredChunk

    @classmethod
    def of(cls, data: Dataset, chunk: ChunkCorrupt) -> _Repair:
        layout = data.layouts[chunk.array]
        n_codes = len(data.classes) if data.classes is not None and layout.name == "y" else None
        writer = BlockWriter(data.store, layout, layout.chunk_rows, durable=True, n_codes=n_codes)
        [expected] = data.manifest.arrays[chunk.array].run(chunk.chunk, chunk.chunk + 1)
        return cls(writer, data.reader(chunk.array), chunk.chunk, expected)

    def __call__(self, values: Any) -> bool:
        layout = self.writer.layout
        first, stop = layout.rows_of(self.chunk)
        rows = self.writer.converted(self.writer.checked(values, first, stop), first, self.chunk)
        content, entry = encoded_file(layout, rows)
        # The number of stored values follows from the checksum, and old manifests do not list it.
        if replace(entry, nnz=self.expected.nnz) != self.expected:
            return False
        self.reader.check_identity()
        self.writer.store.write(layout.key(self.chunk), content, durable=True)
        return True
