"""The sources of raw rows: recognise their kind, list their columns and partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset
from dask.array.core import Array as DaskArray

from storage.dataset import Dataset
from storage.errors import InvalidData
from storage.frames import is_frame
from storage.ingestion.array_sources import source_of_array
from storage.ingestion.arrow_datasets import fragment_pieces
from storage.ingestion.arrow_files import arrow_pieces, arrow_types
from storage.ingestion.arrow_tables import with_plain_texts
from storage.ingestion.compression import COMPRESSED
from storage.ingestion.csv_files import CSVBlock, csv_blocks, read_header
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.infer import SAMPLE_ROWS
from storage.ingestion.numpy_arrays import (
    NumpyFilePiece,
    columns_of_file,
)
from storage.ingestion.parquet_files import parquet_pieces, parquet_types
from storage.ingestion.rows import Rows, check_names, table_of_frame
from storage.ingestion.source import Source
from storage.ingestion.source_files import (
    SUFFIXES,
    ListedFiles,
    bare_name,
    described,
    found_paths,
    is_data_set,
    members,
    paths_of,
)
from storage.opening import open_dataset

__all__ = ["PARTITION_NBYTES", "source_of"]

#: Approximate size of the part of a source that one task reads, in bytes.
PARTITION_NBYTES = 16 * 2**20

#: Number of partitions in the sample that kinds are inferred from, and bytes read of each.
_SAMPLED = 5
_SAMPLE_NBYTES = 2**18


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
            filesystem, found = found_paths(paths)
            files = ListedFiles.at(filesystem, found)
            table = _files(filesystem, found, described(paths), csv, nbytes)
            return replace(table, identity=files.identity, files=files)
        source = open_dataset(paths[0])
    if csv is not None:
        raise ValueError(f"csv is for files, and the source is a {type(source).__name__}")
    if isinstance(source, Dataset):
        identity = f"data set {source.schema.dataset_id}, columns {source.columns}"
        return replace(_dask_frame(source.to_dask_dataframe()), identity=identity)
    if isinstance(source, np.ndarray | DaskArray):
        return source_of_array(source, nbytes)
    if isinstance(source, pa_dataset.Dataset):
        return _arrow_dataset(source, nbytes)
    return _table(_as_table(source), nbytes)


def _table(table: Any, nbytes: int) -> Source:
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
    # A Variable has no coordinates, and a tree of groups has children.
    if package == "xarray" and hasattr(source, "coords") and not hasattr(source, "children"):
        return _frame_of_xarray(source)
    is_table = is_frame(source) or package == "pandas"
    if isinstance(source, pa.Table) or (is_table and getattr(source, "ndim", 0) == 2):
        return source
    raise TypeError(
        f"cannot ingest a {type(source).__name__}: give paths of CSV, Parquet, Arrow or NumPy "
        f"files, a pandas, Dask or polars DataFrame, a pyarrow Table or Dataset, a NumPy or Dask "
        f"array of two dimensions, an xarray Dataset or DataArray, or a data set. For arrays X and "
        f"y use storage.create_dataset(url, X, y)"
    )


def _frame_of_xarray(source: Any) -> Any:
    """Return a Dataset or DataArray of xarray as a frame, whose columns have their names."""
    if not source.dims:
        raise InvalidData(
            f"the {type(source).__name__} has no dimension, so it has no rows: give variables "
            f"with one or more dimensions"
        )
    if hasattr(source, "to_dataset"):
        if source.name is None:
            raise ValueError("the DataArray has no name for its column: give array.rename('name')")
        source = source.to_dataset()
    return source.to_dask_dataframe() if source.chunks else source.to_dataframe().reset_index()


def _arrow_dataset(source: Any, nbytes: int) -> Source:
    description = "a pyarrow Dataset"
    if isinstance(source, pa_dataset.InMemoryDataset):
        return source_of(source.to_table(), None, nbytes)
    names = check_names(source.schema.names, description)
    types = partial(_rows_in_memory, source.schema.empty_table(), description)
    pieces = tuple(fragment_pieces(source, nbytes))
    return Source(names, description, texts=frozenset(), partitions=pieces, sample=(types,))


def _dask_frame(frame: Any) -> Source:
    description = "a Dask DataFrame"
    names = check_names([str(each) for each in frame.columns], description)
    # Dtypes show the kinds of all columns but those of texts and Python objects.
    shown = not any(_may_hold_texts(dtype) for dtype in frame.dtypes)
    sample = (partial(_rows_in_memory, frame._meta, description),) if shown else frame
    return Source(names, description, frozenset(names), partitions=frame, sample=sample)


def _may_hold_texts(dtype: Any) -> bool:
    """Return whether values of a pandas dtype may be texts; categories are declared ones."""
    import pandas as pd

    return bool(pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype))


def _in_memory(
    values: Any, names: tuple[str, ...], n_rows: int, size: int, description: str, nbytes: int
) -> Source:
    step = max(1, n_rows // max(1, -(-size // nbytes)))
    pieces = tuple(
        partial(_rows_in_memory, _slice(values, start, step), description)
        for start in range(0, max(n_rows, 1), step)
    )
    sample = (partial(_rows_in_memory, _slice(values, 0, SAMPLE_ROWS), description),)
    return Source(names, description, frozenset(names), partitions=pieces, sample=sample)


def _slice(values: Any, start: int, step: int) -> Any:
    if isinstance(values, pa.Table):
        return values.slice(start, step)
    return values.iloc[start : start + step]


def _rows_in_memory(values: Any, description: str, columns: Sequence[str]) -> Rows:
    if isinstance(values, pa.Table):
        table = with_plain_texts(values.select([*columns]))
    else:
        table = table_of_frame(values, columns, description)
    return Rows(table, f"the {description.rsplit(maxsplit=1)[-1]}", "row", table.num_rows)


def _files(
    filesystem: Any, paths: Sequence[str], description: str, csv: CSVFormat | None, nbytes: int
) -> Source:
    kinds = {_kind(filesystem, path) for path in paths}
    if len(kinds) > 1:
        raise InvalidData(f"the source has files of several kinds, {' and '.join(sorted(kinds))}: "
                          f"ingest each kind separately")  # fmt: skip
    kind = kinds.pop()
    if kind != "CSV" and csv is not None:
        raise ValueError(f"csv is for CSV files, and {description} is {kind}")
    if kind == "CSV":
        paths = [name for path in paths for name in members(filesystem, path)]
        form = csv or CSVFormat(delimiter="\t" if bare_name(paths[0]).endswith(".tsv") else ",")
        blocks = csv_blocks(filesystem, paths, form, nbytes)
        sample = tuple(each.beginning(_SAMPLE_NBYTES) for each in _evenly_spaced(blocks))
        names = _csv_names(blocks, description)
        sizes = tuple(None if each.stop is None else each.stop - each.start for each in blocks)
        return Source(names, description, frozenset(names), tuple(blocks), sample, sizes=sizes)
    if kind == "Parquet":
        pieces, names = parquet_pieces(filesystem, paths, nbytes)
        sample = parquet_types(_evenly_spaced(pieces), pieces)
        in_folders = frozenset(pieces[0].keys if pieces else ())
        lengths = tuple(each.n_rows for each in pieces)
        return Source(names, description, in_folders, tuple(pieces), sample, lengths=lengths)
    if kind == "Arrow":
        paths = [name for path in paths for name in members(filesystem, path)]
        arrow, names = arrow_pieces(filesystem, paths, nbytes)
        types = arrow_types(_evenly_spaced(arrow))
        return Source(names, description, frozenset(), tuple(arrow), types)
    return _numpy_files(paths, description, nbytes)


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
        found = columns_of_file(path)
        lengths = {name: len(column) for name, column in found.items()}
        if len(set(lengths.values())) != 1:
            raise InvalidData(f"the arrays of {path} differ in length: {lengths}")
        names = names or check_names([*found], path)
        n_rows = next(iter(lengths.values()))
        step = max(1, nbytes // max(1, sum(column.itemsize for column in found.values())))
        partitions += [
            NumpyFilePiece(path, start, start + step) for start in range(0, max(n_rows, 1), step)
        ]
    sample = tuple(NumpyFilePiece(path, 0, SAMPLE_ROWS) for path in _evenly_spaced(paths))
    return Source(names, description, frozenset(names), tuple(partitions), sample)
