"""The sources of raw rows: recognise their kind, list their columns and partitions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from dask.delayed import Delayed

from storage.computing import compute
from storage.dataset import Dataset
from storage.errors import InvalidData
from storage.frames import is_frame
from storage.ingestion.compression import COMPRESSED
from storage.ingestion.csv_files import CSVBlock, csv_blocks, read_header
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.infer import SAMPLE_ROWS
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.parquet_files import parquet_pieces, parquet_types
from storage.ingestion.rows import Rows, check_names, table_of_frame
from storage.ingestion.source_files import (
    SUFFIXES,
    bare_name,
    described,
    found_paths,
    identity_of,
    is_data_set,
    members,
    paths_of,
)
from storage.opening import open_dataset

__all__ = ["PARTITION_NBYTES", "Source", "source_of"]

#: Approximate size of the part of a source that one task reads, in bytes.
PARTITION_NBYTES = 16 * 2**20

#: Number of partitions in the sample that kinds are inferred from, and bytes read of each.
_SAMPLED = 5
_SAMPLE_NBYTES = 2**18

Reader = Callable[[Sequence[str]], Rows]


@dataclass(frozen=True)
class Source:
    """Partitions of raw rows, which can be read repeatedly.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    description : str
        The source in words, for messages and the report.
    texts : frozenset of str
        The columns whose kinds are inferred from how values are written, as in CSV; the types of
        the others show their kinds.
    partitions : tuple of callable or Dask DataFrame
        A function for each partition, which reads the columns whose names it is given; or a frame.
    sample : tuple of callable or Dask DataFrame
        The same for the few rows that kinds are inferred from.
    identity : str
        Text that changes if the rows change: names, sizes and times of files, or the identity of a
        data set. Empty for rows in memory and Dask DataFrames.
    sizes : tuple of (int or None)
        Bytes of text of each partition, None if unknown; empty for sources that are not text.
    """

    names: tuple[str, ...]
    description: str
    texts: frozenset[str]
    partitions: Any
    sample: Any
    identity: str = ""
    sizes: tuple[int | None, ...] = ()

    def rows(self, columns: Sequence[str], *, of_sample: bool = False) -> list[LazyRows]:
        """Return the lazy rows of each partition, with these columns."""
        return [
            LazyRows(partial(_rows_of_partition, tuple(columns), number), (each,))
            if isinstance(each, Delayed)
            else LazyRows(partial(each, tuple(columns)))
            for number, each in enumerate(self._partitions(columns, of_sample=of_sample))
        ]

    def reading_numbers(self, names: frozenset[str]) -> Source:
        """Return the source, which reads these columns of CSV files as numbers at once."""
        if is_frame(self.partitions):
            return self
        partitions = tuple(
            replace(each, numbers=names) if isinstance(each, CSVBlock) else each
            for each in self.partitions
        )
        return replace(self, partitions=partitions)

    def loaded(self, columns: Sequence[str], *, of_sample: bool = False) -> tuple[Rows, ...]:
        """Read the rows of each partition, with these columns."""
        name = f"read-{uuid.uuid4().hex}"
        lazy = self.rows(columns, of_sample=of_sample)
        rows: tuple[Rows, ...] = compute(
            *(each.reading((name, number)) for number, each in enumerate(lazy))
        )
        return rows

    def _partitions(self, columns: Sequence[str], *, of_sample: bool) -> Any:
        given = self.sample if of_sample else self.partitions
        if not is_frame(given):
            return given
        # From Parquet, for example, Dask then reads no other columns.
        labels = {str(label): label for label in given.columns}
        chosen = given[[labels[name] for name in columns]].to_delayed()
        return chosen[:1] if of_sample else chosen


def source_of(source: Any, csv: CSVFormat | None, nbytes: int) -> Source:
    """Return the source for the argument `source` of :func:`~storage.ingest`.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        When rows cannot be read from it.
    """
    paths = paths_of(source)
    if paths is not None:
        if len(paths) != 1 or not is_data_set(paths[0]):
            return _files(paths, csv, nbytes)
        source = open_dataset(paths[0])
    if csv is not None:
        raise ValueError(f"csv is for files, and the source is a {type(source).__name__}")
    if isinstance(source, Dataset):
        identity = f"data set {source.schema.dataset_id}, columns {source.columns}"
        return replace(_dask_frame(source.to_dask_dataframe()), identity=identity)
    table = _as_table(source)
    if is_frame(table):
        return _dask_frame(table)
    if isinstance(table, pa.Table):
        names = check_names(table.column_names, "the table")
        return _in_memory(table, names, table.num_rows, table.nbytes, "a table", nbytes)
    names = check_names([str(each) for each in table.columns], "the frame")
    size = int(table.memory_usage(index=False).sum())
    return _in_memory(table, names, len(table), size, "a pandas DataFrame", nbytes)


def _as_table(source: Any) -> Any:
    """Return a source that is no file as a pandas or Dask DataFrame, or as a pyarrow Table."""
    package = type(source).__module__.partition(".")[0]
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if package == "polars" and hasattr(source, "to_arrow"):
        return source.to_arrow()
    if package == "xarray" and hasattr(source, "data_vars"):
        return source.to_dask_dataframe() if source.chunks else source.to_dataframe().reset_index()
    is_table = is_frame(source) or package == "pandas"
    if isinstance(source, pa.Table) or (is_table and getattr(source, "ndim", 0) == 2):
        return source
    raise TypeError(
        f"cannot ingest a {type(source).__name__}: give paths of CSV, Parquet or NumPy files, a "
        f"pandas, Dask or polars DataFrame, a pyarrow Table, an xarray Dataset or a data set. For "
        f"arrays use storage.create_dataset"
    )


def _dask_frame(frame: Any) -> Source:
    description = "a Dask DataFrame"
    names = check_names([str(each) for each in frame.columns], description)
    # Dtypes show the kinds of all columns but those of Python objects.
    objects = any(isinstance(dtype, np.dtype) and dtype.kind == "O" for dtype in frame.dtypes)
    sample = frame if objects else (partial(_rows_in_memory, frame._meta, description),)
    return Source(names, description, texts=frozenset(), partitions=frame, sample=sample)


def _rows_of_partition(columns: Sequence[str], number: int, frame: Any) -> Rows:
    where = f"partition {number}"
    return Rows(table_of_frame(frame, columns, where), where, "row", len(frame))


def _in_memory(
    values: Any, names: tuple[str, ...], n_rows: int, size: int, description: str, nbytes: int
) -> Source:
    step = max(1, n_rows // max(1, -(-size // nbytes)))
    pieces = tuple(
        partial(_rows_in_memory, _slice(values, start, step), description)
        for start in range(0, max(n_rows, 1), step)
    )
    sample = (partial(_rows_in_memory, _slice(values, 0, SAMPLE_ROWS), description),)
    return Source(names, description, texts=frozenset(), partitions=pieces, sample=sample)


def _slice(values: Any, start: int, step: int) -> Any:
    if isinstance(values, pa.Table):
        return values.slice(start, step)
    return values.iloc[start : start + step]


def _rows_in_memory(values: Any, description: str, columns: Sequence[str]) -> Rows:
    if isinstance(values, pa.Table):
        table = values.select([*columns])
    else:
        table = table_of_frame(values, columns, description)
    return Rows(table, f"the {description.rsplit(maxsplit=1)[-1]}", "row", table.num_rows)


def _files(given: Sequence[str], csv: CSVFormat | None, nbytes: int) -> Source:
    filesystem, paths = found_paths(given)
    kinds = {_kind(filesystem, path) for path in paths}
    if len(kinds) > 1:
        raise InvalidData(f"the source has files of several kinds, {' and '.join(sorted(kinds))}: "
                          f"ingest each kind separately")  # fmt: skip
    description = described(given)
    kind, identity = kinds.pop(), identity_of(filesystem, paths)
    if kind != "CSV" and csv is not None:
        raise ValueError(f"csv is for CSV files, and {description} is {kind}")
    if kind == "CSV":
        paths = [name for path in paths for name in members(filesystem, path)]
        form = csv or CSVFormat(delimiter="\t" if bare_name(paths[0]).endswith(".tsv") else ",")
        blocks = csv_blocks(filesystem, paths, form, nbytes)
        sample = tuple(each.beginning(_SAMPLE_NBYTES) for each in _evenly_spaced(blocks))
        names = _csv_names(blocks, description)
        sizes = tuple(None if each.stop is None else each.stop - each.start for each in blocks)
        return Source(names, description, frozenset(names), tuple(blocks), sample, identity, sizes)
    if kind == "Parquet":
        pieces, names = parquet_pieces(filesystem, paths, nbytes)
        sample = parquet_types(_evenly_spaced(pieces), pieces)
        in_folders = frozenset(pieces[0].keys if pieces else ())
        return Source(names, description, in_folders, tuple(pieces), sample, identity)
    return replace(_numpy_files(paths, description, nbytes), identity=identity)


def _evenly_spaced(partitions: Sequence[Any]) -> list[Any]:
    """Return a few of the partitions, evenly from the first to the last."""
    last = len(partitions) - 1
    chosen = {round(last * each / (_SAMPLED - 1)) for each in range(_SAMPLED)} if last >= 0 else ()
    return [partitions[number] for number in sorted(chosen)]


def _csv_names(blocks: Sequence[CSVBlock], description: str) -> tuple[str, ...]:
    for block in blocks:
        if block.start == 0:
            names = read_header(block)
            if names:
                return names
    raise InvalidData(f"all files of {description} are empty")


def _kind(filesystem: Any, path: str) -> str:
    names = members(filesystem, path)[:1]
    if not names:
        raise InvalidData(f"{path} is a folder without files: it holds no rows")
    name = bare_name(names[0])
    for kind, suffixes in SUFFIXES.items():
        if name.endswith(suffixes):
            return kind
    raise InvalidData(
        f"the kind of {names[0]} is not known: names must end in "
        f"{', '.join(end for ends in SUFFIXES.values() for end in ends)}, .svm, .svmlight or "
        f".libsvm, and compressed files in one more of {', '.join(COMPRESSED)}"
    )


def _numpy_files(paths: Sequence[str], description: str, nbytes: int) -> Source:
    names: tuple[str, ...] = ()
    partitions = []
    for path in paths:
        found = _columns_of(path)
        lengths = {name: len(column) for name, column in found.items()}
        if len(set(lengths.values())) != 1:
            raise InvalidData(f"the arrays of {path} differ in length: {lengths}")
        names = names or check_names([*found], path)
        n_rows = next(iter(lengths.values()))
        step = max(1, nbytes // max(1, sum(each.itemsize for each in found.values())))
        partitions += [
            partial(_rows_of_numpy, path, start, start + step)
            for start in range(0, max(n_rows, 1), step)
        ]
    sample = tuple(partial(_rows_of_numpy, path, 0, SAMPLE_ROWS) for path in _evenly_spaced(paths))
    return Source(
        names, description, texts=frozenset(), partitions=tuple(partitions), sample=sample
    )


def _columns_of(path: str) -> dict[str, Any]:
    """Return the columns of a file by name.

    A structured array names its columns. Columns of an array of two dimensions are called x0, x1,
    ...; in an ``.npz`` archive only those of the array ``X`` are, and others have the name of their
    array and a number. An array of one dimension in an archive is one column.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InvalidData(f"{path} cannot be read as NumPy's: {error}") from error
    if isinstance(loaded, np.ndarray):
        return _columns_of_array("X", loaded, path)
    with loaded:
        return {
            name: column
            for key in loaded.files
            for name, column in _columns_of_array(key, loaded[key], path).items()
        }


def _columns_of_array(name: str, array: Any, path: str) -> dict[str, Any]:
    if array.dtype.names:
        return {each: array[each] for each in array.dtype.names}
    if array.ndim == 1:
        return {name: array}
    if array.ndim != 2:
        raise InvalidData(f"array {name} of {path} has {array.ndim} dimensions; a table has two")
    prefix = "x" if name == "X" else name
    return {f"{prefix}{column}": array[:, column] for column in range(array.shape[1])}


def _rows_of_numpy(path: str, start: int, stop: int, columns: Sequence[str]) -> Rows:
    found = _columns_of(path)
    absent = [name for name in columns if name not in found]
    if absent:
        raise InvalidData(f"{path} has no column {absent[0]!r}: it has {', '.join(found)}")
    table = pa.table({name: pa.array(np.ascontiguousarray(found[name][start:stop]))
                      for name in columns})  # fmt: skip
    return Rows(table, path, "row", table.num_rows)
