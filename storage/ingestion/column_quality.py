"""The quality of one raw column: the values that broke rules, and statistics of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from storage.ingestion.column import Column
from storage.ingestion.rules import RULES
from storage.ingestion.tally import ColumnTally, Example

__all__ = ["ColumnQuality"]


@dataclass(frozen=True)
class ColumnQuality:
    """Quality of one raw column; part of a :class:`QualityReport`.

    Parameters
    ----------
    name : str
        The column.
    kind : str
        ``"number"``, ``"boolean"``, ``"category"`` or ``"datetime"``.
    policies : dict of str to str
        The policy of each rule.
    broken : dict of str to int
        Number of values that broke each rule, over all raw rows. A value that a policy made
        missing counts as missing, too. Rows that one rule leaves out do not count for rules whose
        policy is an error.
    examples : dict of str to tuple of Example
        The first values that broke each rule.
    count : int
        Number of values in the kept rows, without missing values.
    minimum, maximum, mean, std : float or None
        Statistics of the kept rows after cleaning, for numbers and for datetimes (in seconds since
        1970).
    categories : dict of str to int or None
        Number of kept rows with each category.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": [0.0, 1.0, 2.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(frame, f"{folder}/rows.zarr", target="b")
    ...     data.quality.columns["a"].broken
    {'missing': 1}
    """

    name: str
    kind: str
    policies: Mapping[str, str]
    broken: Mapping[str, int]
    examples: Mapping[str, tuple[Example, ...]]
    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    categories: Mapping[str, int] | None

    @property
    def range(self) -> str:
        """Smallest and largest value in words, or the most frequent categories."""
        if self.categories is not None:
            ranked = sorted(self.categories.items(), key=lambda each: -each[1])
            shown = ", ".join(f"{name} {count:,}" for name, count in ranked[:4])
            return shown + (f", and {len(ranked) - 4:,} more" if len(ranked) > 4 else "")
        if self.minimum is None or self.maximum is None:
            return ""
        if self.kind == "datetime":
            first, last = (
                np.datetime64(round(each * 1e6), "us").astype("M8[s]")
                for each in (self.minimum, self.maximum)
            )
            return f"{first} to {last}"
        return f"{self.minimum:.6g} to {self.maximum:.6g}, mean {self.mean:.6g}, std {self.std:.6g}"

    @classmethod
    def of(cls, name: str, column: Column, found: ColumnTally) -> ColumnQuality:
        """Return the quality of a column whose values were counted.

        Parameters
        ----------
        name : str
            Name of the column.
        column : Column
            Declaration of the column.
        found : ColumnTally
            Counts of the column.

        Returns
        -------
        ColumnQuality
            The counts and the policies.
        """
        summary, numbers = found.summary, (None, None, None, None)
        count = 0 if found.categories is None else sum(found.categories.values())
        if summary is not None and summary.count[0]:
            count = int(summary.count[0])
            std = float(np.sqrt(summary.squares[0] / (count - 1))) if count > 1 else 0.0
            numbers = (
                float(summary.low[0]), float(summary.high[0]), float(summary.mean[0]), std,
            )  # type: ignore[assignment]  # fmt: skip
        policies = {rule: str(getattr(column, rule)) for rule in RULES}
        return cls(
            name, str(column.kind), policies, dict(found.broken), dict(found.examples), count,
            *numbers, found.categories if found.categories is None else dict(found.categories),
        )  # fmt: skip
