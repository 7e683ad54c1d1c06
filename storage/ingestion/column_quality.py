"""The quality of one raw column: the values that broke rules, and statistics of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from storage.ingestion.column import Column
from storage.ingestion.rules import RULES
from storage.ingestion.tally import Example, Tally
from storage.quantiles import SHARES, quantile_name, quantiles_of

__all__ = ["ColumnQuality"]

_NAMES = tuple(map(quantile_name, SHARES))


@dataclass(frozen=True)
class ColumnQuality:
    """Quality of one raw column; part of a :class:`QualityReport`.

    Parameters
    ----------
    name : str
        The column.
    kind : str
        ``"number"``, ``"boolean"``, ``"category"``, ``"datetime"`` or ``"key"``.
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
    quantiles : dict of str to float or None
        The quantiles of the same rows as `mean`, by ``"1%"``, ``"5%"``, ``"25%"``, ``"50%"``,
        ``"75%"``, ``"95%"`` and ``"99%"``. They are values of the column, and the same for any
        number of workers. None for other kinds, and if an older release ingested the rows.
    rank_error : float, default=0.0
        Bound on the error of the quantiles, as a share of the rows: at least ``p - rank_error`` of
        the values are up to the quantile p, and less than ``p + rank_error`` are below it. 0 if all
        partitions have up to 256 rows, and at most 1/256.
    unit : str or None, default=None
        The declared unit of a number. All statistics are in this unit, also if the stored values
        are standardised.

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
    quantiles: Mapping[str, float] | None = None
    rank_error: float = 0.0
    unit: str | None = None

    @property
    def is_compared(self) -> bool:
        """Whether the values of these rows were compared with each other, to find duplicates."""
        return self.policies.get("duplicates", "allow") != "allow"

    @property
    def kind_and_unit(self) -> str:
        """The kind of the column, with its unit if it has one."""
        return self.kind if self.unit is None else f"{self.kind} in {self.unit}"

    @property
    def range(self) -> str:
        """Smallest and largest value in words, or the most frequent categories, or a count."""
        if self.kind == "key":
            return f"{self.count:,} values"
        if self.categories is not None:
            ranked = sorted(self.categories.items(), key=lambda each: -each[1])
            shown = ", ".join(f"{name} {count:,}" for name, count in ranked[:4])
            return shown + (f", and {len(ranked) - 4:,} more" if len(ranked) > 4 else "")
        if self.minimum is None or self.maximum is None:
            return ""
        ends = f"{self._text(self.minimum)} to {self._text(self.maximum)}"
        if self.quantiles is not None:
            ends = f"{ends}, median {self._text(self.quantiles['50%'])}"
        if self.kind == "datetime":
            return ends
        return f"{ends}, mean {self.mean:.6g}, std {self.std:.6g}"

    @property
    def distribution(self) -> dict[str, str]:
        """Minimum, quantiles and maximum in words, by their names; empty without quantiles.

        Raises
        ------
        ValueError
            When some of them are missing.
        """
        if self.quantiles is None:
            return {}
        if self.minimum is None or self.maximum is None or {*self.quantiles} != {*_NAMES}:
            raise ValueError(f"the quantiles of {self.name!r} are not complete")
        quantiles = {name: self.quantiles[name] for name in _NAMES}
        values = {"minimum": self.minimum, **quantiles, "maximum": self.maximum}
        return {name: self._text(value) for name, value in values.items()}

    def _text(self, value: float) -> str:
        """Return six digits of a number; of a datetime, whose value is in seconds, the time."""
        if self.kind != "datetime":
            return f"{value:.6g}"
        return str(np.datetime64(round(value * 1e6), "us").astype("M8[s]"))

    @classmethod
    def of(cls, name: str, column: Column, tally: Tally) -> ColumnQuality:
        """Return the quality of a column whose values were counted.

        Parameters
        ----------
        name : str
            Name of the column.
        column : Column
            Declaration of the column.
        tally : Tally
            Counts of all columns.

        Returns
        -------
        ColumnQuality
            The counts and the policies.
        """
        found, summary = tally.columns[name], tally.numbers.summary_of(name)
        numbers = (None, None, None, None)
        count = sum((found.categories or {}).values()) + (found.n_values or 0)
        if summary is not None and summary.count[0]:
            count = int(summary.count[0])
            std = float(np.sqrt(summary.squares[0] / (count - 1))) if count > 1 else 0.0
            numbers = (
                float(summary.low[0]), float(summary.high[0]), float(summary.mean[0]), std,
            )  # type: ignore[assignment]  # fmt: skip
        quantiles, error = None, 0.0
        if numbers[0] is not None:
            values, error = quantiles_of(tally.numbers.sketches_of(name))
            quantiles = dict(zip(_NAMES, values, strict=True))
        policies = {rule: str(getattr(column, rule)) for rule in RULES}
        return cls(
            name, str(column.kind), policies, dict(found.broken), dict(found.examples), count,
            *numbers, found.categories if found.categories is None else dict(found.categories),
            quantiles, error, column.unit,
        )  # fmt: skip
