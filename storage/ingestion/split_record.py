"""What ``ingest.json`` and the records of appended rows hold about named splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.ingestion.quality import QualityReport
from storage.ingestion.splits import Splits
from storage.metadata import shortened

__all__ = ["SplitCounts", "SplitRecord"]


@dataclass(frozen=True)
class SplitCounts:
    """The rows that a version has added to each split.

    Attributes
    ----------
    n_samples : dict of str to int
        Number of rows of each split, in the order of their rows.
    n_outside : int
        Number of raw rows that were in no split.
    """

    n_samples: Mapping[str, int]
    n_outside: int

    def __post_init__(self) -> None:
        for each in (*self.n_samples.values(), self.n_outside):
            if type(each) is not int or each < 0:
                raise ValueError(f"{shortened(each)} is no number of rows")

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values, for JSON."""
        return {"n_samples": dict(self.n_samples), "n_outside": self.n_outside}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> SplitCounts:
        """Return the counts with these plain values."""
        return cls(dict(plain["n_samples"]), plain["n_outside"])


@dataclass(frozen=True)
class SplitRecord:
    """The named splits of an ingest, and what it found in each.

    Attributes
    ----------
    splits : Splits
        The splits.
    quality : dict of str to QualityReport
        What was found in the raw rows of each split.
    n_outside : int
        Number of raw rows that are in no split.
    """

    splits: Splits
    quality: Mapping[str, QualityReport]
    n_outside: int

    @property
    def counts(self) -> SplitCounts:
        """The numbers of stored rows."""
        n_samples = {name: self.quality[name].n_kept for name in self.splits.names}
        return SplitCounts(n_samples, self.n_outside)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values, for JSON."""
        return self.splits.to_json() | {
            "quality": {name: report.to_json() for name, report in self.quality.items()},
            "n_outside": self.n_outside,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> SplitRecord:
        """Return the record with these plain values."""
        quality = {name: QualityReport.from_json(each) for name, each in plain["quality"].items()}
        record = cls(Splits.from_json(plain), quality, plain["n_outside"])
        if {*quality} != {*record.splits.names}:
            raise ValueError("its reports are not those of its splits")
        _ = record.counts  # checks the numbers
        return record
