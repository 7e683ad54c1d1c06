"""``ingest.json``: the quality report of a data set and the steps that made it, with a checksum."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c

from storage.entries import StoredFile
from storage.errors import InvalidData, MetadataCorrupt, NotADataset
from storage.group import INGEST
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.selection import RowSelection, selection_from_json
from storage.manifest import Manifest
from storage.metadata import check_readable, damaged, parse_json, read_metadata
from storage.store import Store
from storage.versions import QUALITY

if TYPE_CHECKING:
    from storage.arrays import StoredArrays

__all__ = ["IngestRecord", "quality_of"]


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
        """Return the content of the file, whose first line is the checksum of all others."""
        plain = {
            "dataset_id": dataset_id,
            "recipe": self.recipe.to_json(),
            "quality": self.quality.to_json(),
            "rows": None if self.rows is None else self.rows.to_json(),
        }
        body = json.dumps(plain, indent=1, ensure_ascii=False).encode()[1:]
        content = _checksum_line(body) + body
        try:
            check_readable(content)
        except ValueError as error:
            raise InvalidData(
                f"the categories of all columns and the joined tables do not fit into {INGEST} "
                f"({error}): leave out columns with features=, declare them as another kind, or "
                f"choose fewer columns of a joined table"
            ) from error
        return content

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
        try:
            record = cls._read(data.store, data.schema.dataset_id, data.manifest)
        except MetadataCorrupt:
            # If another data set has taken this one's place, the record is not damaged.
            data.reader("X").check_identity()
            raise
        if len(record.recipe.feature_names) != data.schema.n_features:
            raise damaged(data.store, INGEST, "its steps make other columns than X has")
        return record

    @classmethod
    def _read(cls, store: Store, dataset_id: str, manifest: Manifest) -> IngestRecord:
        try:
            content = read_metadata(store, INGEST)
        except IsADirectoryError as error:
            raise damaged(store, INGEST, "it is a folder") from error
        except FileNotFoundError:
            manifest.check_file(store, INGEST, None)
            raise NotADataset(
                f"{store.location} has no {INGEST}: storage.ingest did not make it, so its raw "
                f"columns are not known"
            ) from None
        manifest.check_file(store, INGEST, StoredFile.of(content))
        try:
            end = content.index(b"\n") + 1
            if content[:end] != _checksum_line(content[end:]):
                raise ValueError("its checksum is wrong")
            plain = parse_json(content)
            if plain["dataset_id"] != dataset_id:
                raise ValueError("it belongs to another data set")
            return cls(
                Recipe.from_json(plain["recipe"]),
                QualityReport.from_json(plain["quality"]),
                selection_from_json(plain.get("rows")),
            )
        except (
            ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
        ) as error:  # fmt: skip
            raise damaged(store, INGEST, error) from error


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


def _checksum_line(body: bytes) -> bytes:
    return f'{{"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
