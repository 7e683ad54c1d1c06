"""``ingest.json``: the quality report of a data set and the steps that made it, with a checksum."""

from __future__ import annotations

import json
from dataclasses import dataclass

import google_crc32c

from storage.errors import MetadataCorrupt, NotADataset
from storage.group import INGEST
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.store import Store

__all__ = ["IngestRecord"]


@dataclass(frozen=True)
class IngestRecord:
    """What is stored of an ingest.

    Attributes
    ----------
    recipe : Recipe
        The steps from raw rows to X and y.
    quality : QualityReport
        What was found on the way.
    """

    recipe: Recipe
    quality: QualityReport

    def to_bytes(self, dataset_id: str) -> bytes:
        """The file: its first line is the checksum of all others."""
        plain = {
            "dataset_id": dataset_id,
            "recipe": self.recipe.to_json(),
            "quality": self.quality.to_json(),
        }
        body = json.dumps(plain, indent=1, ensure_ascii=False).encode()[1:]
        return _checksum_line(body) + body

    @classmethod
    def read(cls, store: Store, dataset_id: str) -> IngestRecord:
        """The record of the data set in `store`.

        Raises
        ------
        NotADataset
            When it has none.
        MetadataCorrupt
            When it is damaged, or another writing's.
        """
        try:
            content = store.read_bytes(INGEST)
        except FileNotFoundError:
            raise NotADataset(
                f"{store.location} has no {INGEST}: storage.ingest did not make it, so "
                f"nothing is known of its raw columns"
            ) from None
        try:
            end = content.index(b"\n") + 1
            if content[:end] != _checksum_line(content[end:]):
                raise ValueError("its checksum is wrong")
            plain = json.loads(content)
            if plain["dataset_id"] != dataset_id:
                raise ValueError("it is of another writing")
            return cls(Recipe.from_json(plain["recipe"]), QualityReport.from_json(plain["quality"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MetadataCorrupt(
                f"{store.location}/{INGEST} is damaged ({error}): restore it from a copy, or "
                f"ingest the data again"
            ) from error


def _checksum_line(body: bytes) -> bytes:
    return f'{{"crc32c": "{google_crc32c.value(body):08x}",\n'.encode()
