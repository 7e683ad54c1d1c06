"""``ingest.json``: the quality report of a data set and the steps that made it, with a checksum."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c

from storage.errors import MetadataCorrupt, NotADataset
from storage.group import INGEST
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.selection import RowSelection, selection_from_json
from storage.store import Store

if TYPE_CHECKING:
    from storage.arrays import StoredArrays

__all__ = ["IngestRecord"]


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
        return _checksum_line(body) + body

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
            return cls._read(data.store, data.schema.dataset_id)
        except MetadataCorrupt:
            # If another data set has taken this one's place, the record is not damaged.
            data.reader("X").check_identity()
            raise

    @classmethod
    def _read(cls, store: Store, dataset_id: str) -> IngestRecord:
        try:
            content = store.read_bytes(INGEST)
        except FileNotFoundError:
            raise NotADataset(
                f"{store.location} has no {INGEST}: storage.ingest did not make it, so its raw "
                f"columns are not known"
            ) from None
        try:
            end = content.index(b"\n") + 1
            if content[:end] != _checksum_line(content[end:]):
                raise ValueError("its checksum is wrong")
            plain = json.loads(content)
            if plain["dataset_id"] != dataset_id:
                raise ValueError("it belongs to another data set")
            return cls(
                Recipe.from_json(plain["recipe"]),
                QualityReport.from_json(plain["quality"]),
                selection_from_json(plain.get("rows")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MetadataCorrupt(
                f"{store.location}/{INGEST} is damaged ({error}): restore it from a copy, or "
                f"ingest the data again"
            ) from error


def _checksum_line(body: bytes) -> bytes:
    return f'{{"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
