"""``ingest.json``: the quality report of a data set and the steps that made it, with a checksum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from storage.entries import StoredFile
from storage.errors import NotADataset
from storage.group import INGEST
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.record_file import SVMLIGHT, read_record, record_content
from storage.ingestion.selection import RowSelection, selection_from_json
from storage.ingestion.split_record import SplitRecord
from storage.layout import HASHES
from storage.metadata import damaged, parse_json, read_metadata
from storage.versions import QUALITY

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.ingestion.source_files import ListedFiles
    from storage.ingestion.splits import Splits

__all__ = ["IngestRecord", "appended_record", "files_of_ingest", "quality_of", "units_of"]

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class IngestRecord:
    """The steps of an ingest and what it found, as stored with the data set.

    Attributes
    ----------
    recipe : Recipe
        The steps from raw rows to X and y.
    quality : QualityReport
        What was found in the raw rows.
    rows : HashSplit, TimeSplit or None
        The selection of rows; None means all rows.
    splits : SplitRecord or None
        The named splits of the rows; None if there are none.
    """

    recipe: Recipe
    quality: QualityReport
    rows: RowSelection | None = None
    splits: SplitRecord | None = None

    @property
    def selection(self) -> RowSelection | Splits | None:
        """What decides which raw rows are stored, and in which order; None means all."""
        return self.rows if self.splits is None else self.splits.splits

    def to_bytes(self, dataset_id: str) -> bytes:
        """Return the content of the file."""
        plain = {
            "dataset_id": dataset_id,
            "recipe": self.recipe.to_json(),
            "quality": self.quality.to_json(),
            "rows": None if self.rows is None else self.rows.to_json(),
            "splits": None if self.splits is None else self.splits.to_json(),
        }
        return record_content(plain)

    @classmethod
    def of(cls, data: StoredArrays) -> IngestRecord:
        """Read the record of an open data set.

        Raises
        ------
        NotADataset
            When another function than :func:`~storage.ingest` made the data set.
        MetadataCorrupt
            When the record is damaged.
        DatasetReplaced
            When another data set has taken the place of this one since it was opened.
        """
        record = read_record(data, cls._parse)
        if len(record.recipe.feature_names) != data.schema.n_features:
            raise damaged(data.store, INGEST, "its steps make other columns than X has")
        hashes = data.layouts.get(HASHES)
        if hashes is not None and hashes.row_shape != (record.recipe.n_words,):
            raise damaged(data.store, INGEST, "its steps make other hashes than are stored")
        return record

    @classmethod
    def _parse(cls, plain: Mapping[str, Any]) -> IngestRecord:
        if SVMLIGHT in plain:
            raise NotADataset(
                "the data set was ingested from svmlight files, which have no raw columns: there "
                "is neither a quality report nor a step to repeat"
            )
        return cls(
            Recipe.from_json(plain["recipe"]),
            QualityReport.from_json(plain["quality"]),
            selection_from_json(plain.get("rows")),
            None if plain.get("splits") is None else SplitRecord.from_json(plain["splits"]),
        )


def units_of(data: StoredArrays) -> dict[str, str]:
    """Return the declared units of the columns of X and of the target, by their names.

    Standardised columns have no unit. Data sets that :func:`~storage.ingest` did not make have no
    units.

    Raises
    ------
    MetadataCorrupt, DatasetReplaced
        As for :meth:`IngestRecord.of`.
    """
    try:
        recipe = IngestRecord.of(data).recipe
    except NotADataset:
        return {}
    names = {*data.feature_names, data.target}
    return {
        step.name: step.column.unit
        for step in (*recipe.features, recipe.target)
        if step.column.unit is not None and step.column.scale is None and step.name in names
    }


def quality_of(data: StoredArrays, version: int) -> QualityReport:
    """Read the quality report of the raw rows that a version has added.

    Raises
    ------
    ValueError
        When there is no such version.
    NotADataset, MetadataCorrupt, DatasetReplaced
        As for :meth:`IngestRecord.of`.
    """
    if version == 1:
        return IngestRecord.of(data).quality
    return appended_record(data, version, _report)


def _report(plain: Mapping[str, Any]) -> QualityReport:
    return QualityReport.from_json(plain["quality"])


def files_of_ingest(
    record: IngestRecord, listed: ListedFiles | None, dataset_id: str
) -> Mapping[str, bytes]:
    """Return the file with the record of an ingest whose rows are written.

    Raises
    ------
    InvalidData
        When one of the `listed` files, of which some are read several times, has changed.
    """
    if listed is not None:
        listed.check()
    return {INGEST: record.to_bytes(dataset_id)}


def appended_record(
    data: StoredArrays, version: int, parse: Callable[[Mapping[str, Any]], _Read]
) -> _Read:
    """Read what is stored about the raw rows of a later version; `parse` makes an object of it.

    Raises
    ------
    ValueError
        When there is no such version.
    NotADataset, MetadataCorrupt, DatasetReplaced
        As for :meth:`IngestRecord.of`.
    """
    key = f"{data.history.appended_version(version).folder}/{QUALITY}"
    try:
        content = read_metadata(data.store, key)
    except (FileNotFoundError, IsADirectoryError):
        data.reader("X").check_identity()
        data.manifest.check_file(data.store, key, None)
        raise NotADataset(
            f"version {version} of {data.store.location} has no quality report: it was made of "
            f"arrays, not of raw rows"
        ) from None
    data.manifest.check_file(data.store, key, StoredFile.of(content))
    try:
        return parse(parse_json(content))
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise damaged(data.store, key, error) from error
