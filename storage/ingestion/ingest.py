"""From raw tables to a data set: one pass that counts everything, one that encodes and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.create import check_sizes, store_arrays
from storage.dataset import Dataset
from storage.ingestion.block_rows import rows_of_blocks
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.encoded_source import EncodedSource, encode_source
from storage.ingestion.join import Join
from storage.ingestion.joined_tables import load_tables
from storage.ingestion.kept_files import keeping_files
from storage.ingestion.lookup import Lookup
from storage.ingestion.plan import columns_of_recipe, planned_columns
from storage.ingestion.record import IngestRecord, files_of_ingest
from storage.ingestion.record_file import record_content
from storage.ingestion.selection import HashSplit, RowSelection, TimeSplit
from storage.ingestion.source import Source
from storage.ingestion.source_files import telling_changes
from storage.ingestion.sources import PARTITION_NBYTES, source_of
from storage.ingestion.splits import named_splits
from storage.ingestion.svmlight_format import SVMLightFormat
from storage.ingestion.svmlight_ingest import format_of, ingest_svmlight, refuse_for_svmlight
from storage.ingestion.svmlight_source import is_svmlight_source
from storage.ingestion.typed_texts import warn_of_numbers
from storage.ingestion.uncounted_source import UncountedSource
from storage.layout import BLOCK_NBYTES, CHUNK_NBYTES
from storage.location import store_at
from storage.opening import open_dataset
from storage.writing import writing_to

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["ingest"]


def ingest(
    source: Any,
    url: Location,
    *,
    target: str | None = None,
    features: Sequence[str] | None = None,
    columns: Mapping[str, Column] | None = None,
    joins: Sequence[Join] = (),
    like: Dataset | Location | None = None,
    rows: HashSplit | TimeSplit | None = None,
    splits: Mapping[str, HashSplit | TimeSplit] | None = None,
    learn_from: str | Sequence[str] | None = None,
    csv: CSVFormat | None = None,
    svmlight: SVMLightFormat | None = None,
    dtype: npt.DTypeLike | None = None,
    partition_nbytes: int = PARTITION_NBYTES,
    chunk_nbytes: int = CHUNK_NBYTES,
    block_nbytes: int = BLOCK_NBYTES,
    expected_rows: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> Dataset:
    """Check, clean and encode raw tables, and store them as a data set with a quality report.

    The source is read twice, partition by partition, on the active cluster or on threads. The first
    pass counts rows, broken rules, statistics and categories; the second encodes and writes.
    Parquet files are read once if nothing is estimated from their rows and no rule may leave out
    any. CSV files are read once, too: in between, rows lie in a hidden folder beside `url`, or
    without space there and for object stores in memory, up to 512 MiB or a sixteenth of the
    workers' memory. If a column forbids duplicates, it is read once more before. The stored values
    do not depend on partitions or workers. When an error is raised, nothing has changed at `url`.

    Parameters
    ----------
    source : str, path-like, sequence of these, frame, table, array, xarray object or Dataset
        Paths, globs or URLs of files of one kind: CSV (``.csv``, ``.tsv``, ``.txt``, also followed
        by ``.gz``, ``.bz2``, ``.zst``, ``.lz4`` or ``.zip``), Parquet (files, or folders whose
        names give the values of columns, such as ``month=7``), Arrow's IPC format, also called
        Feather 2 (``.arrow``, ``.arrows``, ``.feather``, ``.ipc``), NumPy (local ``.npy`` and
        ``.npz``) or svmlight (``.svm``, ``.svmlight``, ``.libsvm``, also compressed; and files of
        any name if `svmlight` is given), whose X is stored as sparse rows. Or a pandas, Dask or
        polars DataFrame, a pyarrow Table, RecordBatch or Dataset, an xarray Dataset (also its
        coordinates are columns) or DataArray with a name, or another data set, opened or by its
        path. Or a NumPy or Dask array of two dimensions, whose columns are called x0, x1, ..., as
        in scikit-learn, or of one dimension and with named fields; if y is another array, use
        :func:`~storage.create_dataset`. A file that is compressed as a
        whole is one partition, whatever its size.
    url : str, path-like or zarr.abc.store.Store
        Where to write, as for :func:`~storage.create_dataset`.
    target : str, optional
        The raw column that becomes y. A category or boolean becomes codes of ``classes``. Required
        unless `like` is given. For svmlight files, a name for their labels, not required.
    features : sequence of str, optional
        The raw columns that become X, in this order; None means all but the target, in the order of
        the source (of its first file, if there are several).
    columns : dict of str to Column, optional
        Declarations of raw columns. The kind of a column that is not declared is inferred from a
        sample. Texts in CSV files, frames and arrays are read to see whether they are numbers or
        times; texts in Parquet and Arrow files are categories, and so are pandas' and polars'
        categories.
    joins : sequence of Join, optional
        Tables whose columns are added to the raw rows by a key, one after the other. The added
        columns come after those of the source, and may be named in `features` and `columns`.
    like : Dataset, str, path-like or zarr.abc.store.Store, optional
        A data set that :func:`~storage.ingest` made, whose columns, joined tables, rules,
        categories and imputed values are used again. Use it for a test set, so that its X has the
        columns of the training set and nothing is estimated from the test rows. `target`,
        `features`, `columns`, `joins` and `svmlight` must then not be given.
    rows : HashSplit or TimeSplit, optional
        The rows to ingest, by the hash of a key or by time; None means all. With `like`, rows that
        the other data set has selected by the same column are refused.
    splits : dict of str to HashSplit or TimeSplit, optional
        Named splits, such as ``"train"`` and ``"test"``, all by the same hash or the same time, and
        none with a row of another. The rows of each lie together, and ``data.splits[name]`` opens
        them. Rows that are in no split are counted and left out. It is given in place of `rows`,
        and not with `like`.
    learn_from : str or sequence of str, optional
        The splits whose rows decide categories, imputed values, and the mean and standard deviation
        of standardised columns; None means the one that is called ``"train"``. A category that only
        other splits have breaks the rule `unknown`.
    csv : CSVFormat, optional
        How CSV files are written; None means comma (tab in ``.tsv``), UTF-8, and a header.
    svmlight : SVMLightFormat, optional
        How svmlight files are written, and whether their labels are classes. None means that this
        is found by reading the files.
    dtype : {"float32", "float64"}, optional
        Dtype to store X with; None means float64, or the dtype of `like`.
    partition_nbytes : int, default=16 MiB
        Approximate size of the part of the source that one task reads, in bytes.
    chunk_nbytes : int, default=4 MiB
        Largest size of a chunk of X, before compression, in bytes.
    block_nbytes : int, default=32 MiB
        Largest size of a block, before compression, in bytes.
    expected_rows : int, optional
        Rows that the data set will have after later calls of :func:`~storage.append`. Chunks and
        blocks get the sizes for so many rows, and keep them. None means the rows that are given.
    overwrite : bool, default=False
        Whether to replace a data set that is already there.
    resume : bool, default=False
        Whether to continue an ingest to the same place that was killed, with the same files,
        options and versions: the source is counted again, and only blocks that are not complete are
        written. Without such an ingest, this one begins anew. In an object store the place is also
        taken over from an ingest that still runs, which then stops; and an unfinished data set of
        other files or options is an error.

    Returns
    -------
    Dataset
        The data set, opened; its ``quality`` reports what was found, and ``encode`` takes new raw
        rows through the same steps. Svmlight files have neither.

    Raises
    ------
    InvalidData
        When raw data cannot be read, or break a declared rule. The message names all such columns,
        with the first lines or rows. Or when a joined table has a key twice.
    FileNotFoundError, PermissionError
        When a file of the source does not exist, or cannot be read.
    DatasetExists
        When something is at `url` already, or another process has taken over the place.
    NotADataset
        When `like` was made by another function than :func:`~storage.ingest`.
    ValueError, TypeError
        When names or options contradict one another; or when `resume` is given for a source in
        memory.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> flights = pd.DataFrame({
    ...     "distance": [200.0, None, 1400.0, 760.0],
    ...     "carrier": ["AA", "UA", "AA", "DL"],
    ...     "late": [True, False, False, True],
    ... })
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(
    ...         flights, f"{folder}/flights.zarr", target="late",
    ...         columns={"distance": storage.Column(missing="impute", minimum=0)},
    ...     )
    ...     data.feature_names, data.classes, data.quality.columns["distance"].mean
    (('distance', 'carrier_AA', 'carrier_DL', 'carrier_UA'), (False, True), 786.6666666666666)
    """
    check_sizes(chunk_nbytes, block_nbytes, expected_rows)
    _check_options(url, partition_nbytes, rows, overwrite=overwrite, resume=resume)
    named = named_splits(splits, learn_from, rows=rows, like=like)
    given, known = None, None
    if like is not None:
        _refuse_declarations(
            target=target, features=features, columns=columns, joins=joins or None,
            svmlight=svmlight,
        )  # fmt: skip
        known = _opened(like)
        target = known.target if isinstance(known.target, str) else None
        dtype = known.X.dtype if dtype is None else dtype
    form = svmlight if known is None else format_of(known)
    if form is not None or is_svmlight_source(source):
        refuse_for_svmlight(
            features=features, columns=columns or None, joins=joins or None, rows=rows,
            splits=splits, csv=csv, like=known if form is None else None,
        )  # fmt: skip
        return ingest_svmlight(
            source,
            url,
            form or SVMLightFormat(),
            partition_nbytes,
            target=target,
            dtype=dtype,
            chunk_nbytes=chunk_nbytes,
            block_nbytes=block_nbytes,
            expected_rows=expected_rows,
            overwrite=overwrite,
            resume=resume,
        )
    if known is not None:
        given = _record_of(known, rows).recipe
    elif target is None:
        raise TypeError(
            "name the target column, target='...', or a data set with like=; for arrays X and y "
            "use storage.create_dataset(url, X, y)"
        )
    found = _source(source, csv, partition_nbytes, resume=resume)
    lookups: tuple[Lookup, ...] = ()
    texts: frozenset[str] = frozenset()
    if given is None:
        assert target is not None
        tables = load_tables(joins, found)
        plan, texts = planned_columns(found, target, features, columns or {}, tables)
        lookups = tuple(table.lookup for table in tables)
    else:
        plan = columns_of_recipe(found, given)
    blocks = partial(rows_of_blocks, dtype, chunk_nbytes, block_nbytes, expected_rows)
    with telling_changes(found.files), keeping_files(store_at(url)) as files:
        uncounted = UncountedSource.of(found, plan, given, named or rows, lookups)
        encoded = uncounted or encode_source(
            found, plan, given, named or rows, csv, lookups, files, blocks
        )
        recipe = encoded.recipe
        warn_of_numbers(recipe, texts)
        return store_arrays(
            url,
            encoded.X,
            encoded.y,
            hashes=encoded.hashes,
            feature_names=recipe.feature_names,
            target=recipe.target.name,
            classes=recipe.target.classes,
            source=encoded.description,
            seed=None,
            dtype=dtype,
            chunk_nbytes=chunk_nbytes,
            block_nbytes=block_nbytes,
            expected_rows=expected_rows,
            overwrite=overwrite,
            more_files=lambda dataset_id: files_of_ingest(
                IngestRecord(recipe, encoded.report, rows, encoded.splits),
                encoded.files,
                dataset_id,
            ),
            signature=_signature(found, csv, encoded, rows),
            resume=resume,
            blocks_at_once=encoded.blocks_at_once,
            write=None if uncounted is None else uncounted.write,
        )


def _check_options(
    url: Location,
    partition_nbytes: int,
    rows: RowSelection | None,
    *,
    overwrite: bool,
    resume: bool,
) -> None:
    if partition_nbytes < 1:
        raise ValueError(f"partition_nbytes must be 1 or more, got {partition_nbytes}")
    if rows is not None and not isinstance(rows, RowSelection):
        raise TypeError(f"rows must be a storage.HashSplit or TimeSplit, got {rows!r}")
    writing_to(store_at(url), overwrite=overwrite, resume=resume)  # only checks the place


def _source(source: Any, csv: CSVFormat | None, nbytes: int, *, resume: bool) -> Source:
    found = source_of(source, csv, nbytes)
    if resume and not found.identity:
        raise ValueError(
            f"an ingest resumes from files or a data set only, because {found.description} may "
            f"have other rows than before: write it to Parquet first, or leave out resume"
        )
    return found


def _signature(
    source: Source,
    csv: CSVFormat | None,
    encoded: EncodedSource | UncountedSource,
    rows: RowSelection | None,
) -> str:
    """Return a hash of the source, how it is read, all steps, and what was counted before.

    Raises
    ------
    InvalidData
        When the steps do not fit into the record of the ingest.
    """
    versions = (np.__version__, pa.__version__, numcodecs.__version__)
    record = (
        IngestRecord(encoded.recipe, encoded.report, rows, encoded.splits).to_bytes("")
        if isinstance(encoded, EncodedSource)
        else record_content({"recipe": encoded.recipe.to_json()})
    )
    parts = (source.identity, repr(csv), record.decode(), *versions)
    return sha256("\n".join(parts).encode()).hexdigest() if source.identity else ""


def _opened(like: Dataset | Location) -> Dataset:
    known = like if isinstance(like, Dataset) else open_dataset(like)
    if known.columns is not None:
        raise ValueError("like must be a data set opened with all its columns")
    return known


def _record_of(known: Dataset, rows: RowSelection | None) -> IngestRecord:
    """Return the record of the data set given as `like`."""
    record = IngestRecord.of(known)
    if rows is not None and record.selection is not None and record.selection.overlaps(rows):
        raise ValueError(
            f"the data set given as like= already has {record.selection}: a test set with {rows} "
            f"would contain training rows. Select other rows"
        )
    return record


def _refuse_declarations(**declarations: Any) -> None:
    given = [name for name, value in declarations.items() if value is not None]
    if given:
        raise ValueError(
            f"{given[0]} cannot be given with like=: the columns and rules of that data set are "
            f"used again. To change them, ingest the training rows again with other rules"
        )
