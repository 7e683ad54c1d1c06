"""``ingest.json``: the quality report of a data set and the steps that made it, with a checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.entries import StoredFile
from storage.errors import NotADataset
from storage.group import INGEST
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.record_file import SVMLIGHT, read_record, record_content
from storage.ingestion.selection import RowSelection, selection_from_json
from storage.metadata import damaged, parse_json, read_metadata
from storage.versions import QUALITY

if TYPE_CHECKING:
    from storage.arrays import StoredArrays

__all__ = ["IngestRecord", "quality_of", "units_of"]


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
    """

    recipe: Recipe
    quality: QualityReport
    rows: RowSelection | None = None

    def to_bytes(self, dataset_id: str) -> bytes:
        """Return the content of the file."""
        plain = {
            "dataset_id": dataset_id,
            "recipe": self.recipe.to_json(),
            "quality": self.quality.to_json(),
            "rows": None if self.rows is None else self.rows.to_json(),
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
        return QualityReport.from_json(parse_json(content)["quality"])
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise damaged(data.store, key, error) from error
