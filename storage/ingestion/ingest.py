"""From raw tables to a data set: one pass that counts everything, one that encodes and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from dask.base import compute
from dask.delayed import delayed

from storage.create import check_sizes, store_arrays
from storage.dataset import Dataset
from storage.errors import InvalidData
from storage.group import INGEST
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.infer import resolved_columns
from storage.ingestion.pieces import encoded_arrays
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe, Step, told
from storage.ingestion.record import IngestRecord
from storage.ingestion.sources import Source, source_of
from storage.ingestion.tally import Tally, joined, tally_rows
from storage.layout import BLOCK_NBYTES, CHUNK_NBYTES
from storage.location import store_at
from storage.writing import writing_to

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["ingest"]

_PARTITION_NBYTES = 32 * 2**20
_EXAMPLES_TOLD = 3


def ingest(
    source: Any,
    url: Location,
    *,
    target: str,
    features: Sequence[str] | None = None,
    columns: Mapping[str, Column] | None = None,
    csv: CSVFormat | None = None,
    dtype: npt.DTypeLike | None = None,
    partition_nbytes: int = _PARTITION_NBYTES,
    chunk_nbytes: int = CHUNK_NBYTES,
    block_nbytes: int = BLOCK_NBYTES,
    overwrite: bool = False,
) -> Dataset:
    """Check, clean and encode raw tables, and store them as a data set with a quality report.

    The source is read twice, partition by partition, on the active cluster or on threads. The first
    pass counts rows, broken rules, statistics and categories; the second encodes and writes. What
    is stored does not depend on partitions or workers. When an error is raised, nothing has changed
    at `url`.

    Parameters
    ----------
    source : str, path-like, sequence of these, frame, table or Dataset
        Paths, globs or URLs of files of one kind: CSV (``.csv``, ``.tsv``, ``.txt``, also with
        ``.gz``, ``.bz2``, ``.zst``, ``.lz4`` or ``.zip`` behind), Parquet (files, or folders whose
        names tell columns, as ``month=7``) or NumPy (``.npy``, ``.npz``; local ones). Or a pandas,
        Dask or polars DataFrame, a pyarrow Table, or another data set. A file that is compressed as
        a whole is one partition, whatever its size.
    url : str, path-like or zarr.abc.store.Store
        Where to write, as for :func:`~storage.create_dataset`.
    target : str
        The raw column that becomes y. A category or boolean becomes codes of ``classes``.
    features : sequence of str, optional
        The raw columns that become X, in this order; None means all but the target, as in the
        source (in the first file, where there are several).
    columns : dict of str to Column, optional
        What is declared of raw columns; the kinds of others are told by a sample.
    csv : CSVFormat, optional
        How CSV files are written; None means comma (tab in ``.tsv``), UTF-8, and a header.
    dtype : {"float32", "float64"}, optional
        Dtype to store X with; None means float64.
    partition_nbytes : int, default=32 MiB
        About how much of the source one task reads, in bytes.
    chunk_nbytes : int, default=4 MiB
        Largest size of a chunk of X, before compression, in bytes.
    block_nbytes : int, default=32 MiB
        Largest size of a block, before compression, in bytes.
    overwrite : bool, default=False
        Whether to replace a data set that is already there.

    Returns
    -------
    Dataset
        The data set, opened; its ``quality`` tells what was found, and ``encode`` takes new raw
        rows through the same steps.

    Raises
    ------
    InvalidData
        When raw data cannot be read, or is not what was declared; all columns are named, with the
        first lines or rows.
    FileNotFoundError, PermissionError
        When a file of the source is not there, or may not be read.
    DatasetExists
        When something is at `url` already.
    ValueError, TypeError
        When names or options do not fit.

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
    check_sizes(chunk_nbytes, block_nbytes)
    if partition_nbytes < 1:
        raise ValueError(f"partition_nbytes must be 1 or more, got {partition_nbytes}")
    writing_to(store_at(url), overwrite=overwrite)  # only checks that nothing is there
    found = source_of(source, csv, partition_nbytes)
    declared = _declared(found, target, features, dict(columns or {}))
    tallies, plan = _counted(found, declared, target)
    tally = joined(tallies, plan)
    _refuse_broken(tally, plan, csv)
    steps = {name: Step.fitted(name, column, tally.columns[name]) for name, column in plan.items()}
    recipe = Recipe(tuple(steps[name] for name in plan if name != target), steps[target])
    record = IngestRecord(recipe, QualityReport.of(found.told, target, plan, tally))
    X, y = encoded_arrays(recipe, found.rows([*plan]), [each.n_kept for each in tallies])
    return store_arrays(
        url,
        X,
        y,
        feature_names=recipe.feature_names,
        target=target,
        classes=recipe.target.classes,
        source=found.told,
        seed=None,
        dtype=dtype,
        chunk_nbytes=chunk_nbytes,
        block_nbytes=block_nbytes,
        overwrite=overwrite,
        more_files=lambda dataset_id: {INGEST: record.to_bytes(dataset_id)},
    )


def _declared(
    found: Source, target: str, features: Sequence[str] | None, columns: dict[str, Column]
) -> dict[str, Column]:
    """What is declared of each column that is used, the target last."""
    if isinstance(features, str):
        raise TypeError(f"features must be a sequence of names, got {features!r}")
    chosen = list(features if features is not None else (n for n in found.names if n != target))
    for name in (target, *chosen, *columns):
        if name not in found.names:
            shown = ", ".join(found.names[:8]) + ", ..." * (len(found.names) > 8)
            raise InvalidData(f"{found.told} has no column {name!r}: its columns are {shown}")
    if target in chosen or len(set(chosen)) < len(chosen):
        raise ValueError("features must be distinct names, and the target is none of them")
    if not chosen:
        raise ValueError("there are no features: a data set needs one or more")
    unused = [name for name in columns if name not in (*chosen, target)]
    if unused:
        raise ValueError(f"columns declares {unused[0]!r}, which is neither feature nor target")
    wrong = [name for name, column in columns.items() if type(column) is not Column]
    if wrong:
        raise TypeError(f"columns[{wrong[0]!r}] must be a storage.Column, got "
                        f"{columns[wrong[0]]!r}")  # fmt: skip
    return {name: columns.get(name, Column()) for name in (*chosen, target)}


def _counted(
    found: Source, declared: Mapping[str, Column], target: str
) -> tuple[list[Tally], dict[str, Column]]:
    names = [*declared]
    sample = compute(*found.rows(names, of_sample=True))
    plan = resolved_columns(names, declared, sample, texts=found.texts)
    plan[target] = _as_target(plan[target])
    count = delayed(partial(tally_rows, plan), traverse=False)
    return list(compute(*(count(each) for each in found.rows(names)))), plan


def _as_target(column: Column) -> Column:
    if column.kind == "datetime":
        raise ValueError("a datetime cannot be the target: declare it as a number or a category")
    if column.missing == "impute" or column.unknown == "ignore":
        raise ValueError("a target that is not known cannot be made up: drop such rows")
    # Nothing can be trained with a target that is kept as missing.
    return replace(column, missing="error") if column.missing == "keep" else column


def _refuse_broken(tally: Tally, plan: Mapping[str, Column], csv: CSVFormat | None) -> None:
    """Raise an error that tells all rules that are broken and must not be."""
    lines = []
    if tally.malformed and (csv is None or csv.on_bad_lines == "error"):
        lines.append(
            f"lines with too many or too few fields, {tally.malformed:,} of {tally.n_rows:,}: "
            f"{_told(tally.malformed_examples)}. Skip them with "
            f"csv=storage.CSVFormat(on_bad_lines='skip')"
        )
    for name, column in plan.items():
        found = tally.columns[name]
        for rule, count in found.broken.items():
            if getattr(column, rule) == "error":
                lines.append(
                    f"column {name!r}, {count:,} of {tally.n_rows:,} rows: {told(rule, column)}: "
                    f"{_told(found.examples[rule])}. Declare what to do, e.g. "
                    f"columns={{{name!r}: storage.Column({column.kind!r}, {rule}='drop')}}"
                )
    if lines:
        raise InvalidData("the raw data is not what was declared:\n  " + "\n  ".join(lines))
    if not tally.n_kept:
        raise InvalidData(
            f"no row is left of {tally.n_rows:,}: policies and malformed lines leave out all"
        )


def _told(examples: Sequence[Any]) -> str:
    return "; ".join(map(str, examples[:_EXAMPLES_TOLD]))
