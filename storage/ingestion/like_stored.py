"""Rows for a data set that exists: raw rows by its stored steps, or arrays like its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dask.array.core import Array as DaskArray

from storage.appending import newest
from storage.dataset import Dataset
from storage.errors import NotADataset
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.encoded_source import encode_source
from storage.ingestion.kept_files import KeptFiles
from storage.ingestion.pieces import blocks_at_once
from storage.ingestion.plan import columns_of_recipe
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.record import IngestRecord
from storage.ingestion.source_files import ListedFiles
from storage.ingestion.sources import PARTITION_NBYTES, source_of
from storage.ingestion.split_record import SplitCounts
from storage.ingestion.stored_hashes import StoredHashes
from storage.ingestion.svmlight_ingest import format_of, refuse_for_svmlight
from storage.ingestion.svmlight_source import open_svmlight
from storage.ingestion.value_hashes import compared_names
from storage.layout import row_chunks
from storage.user_line import warn_user

__all__ = ["RowsLikeStored"]


@dataclass(frozen=True)
class RowsLikeStored:
    """Rows in the columns of a data set.

    Attributes
    ----------
    X, y, sample_weight : array-like
        The rows; sample_weight may be None.
    report : QualityReport or None
        What was found in raw rows; None for arrays and svmlight files.
    source : str or None
        Where the rows come from, in words; None for arrays.
    blocks_at_once : int or None
        Most blocks that one computation may write; None means all.
    splits : SplitCounts or None
        The number of rows of each named split, whose rows lie together; None without splits.
    hashes : dask.array.Array or None
        The hashes of raw rows, if columns forbid duplicates and the data set has hashes.
    after : int or None
        The version whose rows the raw rows were compared with; None if they were not.
    files : ListedFiles or None
        Files of which some are read several times, so that they must not change until the end.
    """

    X: Any
    y: Any
    sample_weight: Any
    report: QualityReport | None = None
    source: str | None = None
    blocks_at_once: int | None = None
    splits: SplitCounts | None = None
    hashes: DaskArray | None = None
    after: int | None = None
    files: ListedFiles | None = None

    @classmethod
    def of(
        cls,
        known: Dataset,
        source: Any,
        y: Any,
        sample_weight: Any,
        csv: CSVFormat | None,
        files: KeptFiles | None,
    ) -> RowsLikeStored:
        """Return raw rows encoded if :func:`~storage.ingest` made the data set, otherwise arrays.

        Raw rows are kept in `files` between the two passes over them.

        Raises
        ------
        ValueError
            When arrays are given in place of raw rows, or raw rows in place of arrays.
        InvalidData
            When raw rows cannot be read, or break a rule whose policy is an error.
        """
        form = format_of(known)
        if form is not None and y is None:
            refuse_for_svmlight(csv=csv, sample_weight=sample_weight)
            rows = open_svmlight(source, form, PARTITION_NBYTES)
            return cls(
                rows.X,
                rows.y,
                None,
                source=rows.description,
                blocks_at_once=blocks_at_once(),
                files=rows.files,
            )
        try:
            record = IngestRecord.of(known)
        except NotADataset:
            if y is None or csv is not None:
                raise ValueError(
                    f"{known.store.location} was made of arrays, not of raw tables: give X "
                    f"and y, without csv="
                ) from None
            return cls(source, y, sample_weight)
        if y is not None or sample_weight is not None:
            raise ValueError(
                f"{known.store.location} was made by storage.ingest: give raw rows, which go "
                f"through the same steps, without y and sample_weight"
            )
        raw = source_of(source, csv, PARTITION_NBYTES)
        plan = columns_of_recipe(raw, record.recipe)
        current = newest(known) if record.recipe.n_words else known
        stored = StoredHashes.of(current)
        if record.recipe.n_words and stored is None:
            _warn_of_stored_rows(known, plan)
        encoded = encode_source(
            raw, plan, record.recipe, record.selection, csv, files=files,
            blocks=partial(_blocks, current), stored=stored,
        )  # fmt: skip
        report = encoded.report
        if record.recipe.n_words:
            report = replace(report, stored_rows="not compared" if stored is None else "compared")
        return cls(
            encoded.X,
            encoded.y,
            None,
            report,
            report.source,
            encoded.blocks_at_once,
            None if encoded.splits is None else encoded.splits.counts,
            None if stored is None else encoded.hashes,
            None if stored is None else current.version,
            encoded.files,
        )


def _warn_of_stored_rows(known: Dataset, plan: Mapping[str, Column]) -> None:
    warn_user(
        f"{known.store.location} has no hashes of its values in {', '.join(compared_names(plan))}, "
        f"because an earlier release wrote it: the new rows are compared among themselves, and not "
        f"with the stored ones. To compare all rows, ingest all of them again",
        UserWarning,
    )


def _blocks(known: Dataset, _: Recipe, n_added: int) -> Sequence[int]:
    """Return the number of rows of each block that will be written, the first one also in part."""
    layout = known.layouts["y"]
    grown = replace(layout, n_rows=layout.n_rows + n_added)
    return row_chunks(grown, known.schema.block_rows, layout.n_rows)[0]
