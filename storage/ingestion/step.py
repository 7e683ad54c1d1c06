"""The step of one raw column: how it is checked, cleaned and encoded, with estimated values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.cells import Mask, text_at
from storage.ingestion.checked_rows import CleanColumn
from storage.ingestion.column import Column, limit
from storage.ingestion.feature_columns import FeatureColumns, Indicators, Values
from storage.ingestion.infer import kind_of_texts
from storage.ingestion.rules import Checked
from storage.ingestion.tally import ColumnTally
from storage.messages import first_texts, short_text
from storage.metadata import shortened
from storage.plain_values import from_plain
from storage.schema import Label
from storage.summary import Summary

__all__ = ["Step", "violation"]

Array = npt.NDArray[Any]

#: Codes of a missing value, and of a text that is none of the categories.
_GAP, _UNKNOWN = -1, -2
# As many digits as an int converts quickly; longer texts are sorted as texts.
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Step:
    """How one raw column is checked, cleaned and encoded.

    Attributes
    ----------
    name : str
        The raw column.
    column : Column
        Its declaration, with a kind.
    categories : tuple of str or None
        The categories, found or declared; None for other kinds.
    fill : float, str or None
        The value that replaces missing values, if the policy is to impute.
    mean, std : float or None
        What the values are standardised by: they become ``(x - mean) / std``; None if they are not.
    """

    name: str
    column: Column
    categories: tuple[str, ...] | None
    fill: Label | None
    mean: float | None = None
    std: float | None = None

    @classmethod
    def fitted(cls, name: str, column: Column, found: ColumnTally, summary: Summary | None) -> Step:
        """Return the step of a column whose values were counted.

        Parameters
        ----------
        name : str
            The raw column.
        column : Column
            Its declaration.
        found : ColumnTally
            Its counts.
        summary : Summary or None
            Statistics of its values, if it has numbers.

        Raises
        ------
        InvalidData
            When there are too many categories, or nothing to impute from or to standardise by.
        """
        categories = None
        if column.kind == "category":
            if found.crowded:
                raise InvalidData(_too_many(name, column, [*(found.categories or {})]))
            categories = _categories(column, found)
            if not categories:
                raise InvalidData(
                    f"column {name!r} has no value in the rows kept: leave it out with features="
                )
            _check_reference(name, column.reference, categories)
        fill = column.fill_value if column.missing == "impute" else None
        if column.missing == "impute" and fill is None:
            fill = _imputed(column, found, summary)
            if fill is None and found.broken.get("missing"):
                raise InvalidData(
                    f"column {name!r} has no value to impute from: give fill_value, or leave it out"
                )
        mean, std = _standard(name, summary) if column.scale == "standard" else (None, None)
        return cls(name, column, categories, fill, mean, std)

    @staticmethod
    def depends_on_values(column: Column) -> bool:
        """Return whether :meth:`fitted` needs the values of a column, or may refuse them."""
        if column.kind == "category" and (
            column.categories is None or len(column.categories) > column.max_categories
        ):
            return True
        imputed = column.missing == "impute" and column.fill_value is None
        return imputed or column.scale is not None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of X that the raw column becomes."""
        if self.column.kind == "datetime":
            return tuple(f"{self.name}_{part}" for part in self.column.parts)
        if self.column.kind == "category" and self.column.encoding == "one-hot":
            return tuple(f"{self.name}_{category}" for category in self._encoded_categories)
        return (self.name,)

    @property
    def _encoded_categories(self) -> tuple[str, ...]:
        """The categories that have a column of their own."""
        return tuple(each for each in self.categories or () if each != self.column.reference)

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """Labels of the codes of y, if this column is the target; None for numbers."""
        return (False, True) if self.column.kind == "boolean" else self.categories

    @cached_property
    def rules(self) -> Column:
        """The declaration of the column, with the categories that were found."""
        return replace(self.column, categories=self.categories)

    def refuse_broken(
        self, checked: Checked, array: pa.ChunkedArray, kept: Mask, where: str
    ) -> None:
        """Refuse kept rows that break a rule whose policy is an error.

        Raises
        ------
        InvalidData
            When a value breaks such a rule. The message names the row.
        """
        for rule, broken in checked.broken.items():
            wrong = np.flatnonzero(broken & kept)
            if len(wrong) and getattr(self.column, rule) == "error":
                row = int(wrong[0])
                text = text_at(array, row)
                value = text and short_text(text)
                raise InvalidData(
                    f"{violation(rule, self.column)} in row {row:,} of {where}, column "
                    f"{self.name!r}: {value!r}. The column was ingested with {rule}='error'"
                )

    def imputed(self, column: CleanColumn) -> Array:
        """Return values without gaps, if they are imputed, with codes in place of categories."""
        values: Array = column.values
        category = self.column.kind == "category"
        if category:
            # A missing value has the position -1: it takes the last code.
            values = np.array([*map(self._code, column.texts), _GAP])[values]
        if column.missing is None or self.column.missing != "impute" or self.fill is None:
            return values
        assert self.column.kind is not None
        fill = limit(self.fill, self.column.kind)
        return np.where(column.missing, self._code(fill) if category else fill, values)

    def _code(self, text: str) -> int:
        return self._known.get(text, _UNKNOWN)

    @cached_property
    def _known(self) -> dict[str, int]:
        return {text: code for code, text in enumerate(self.categories or ())}

    def feature_columns(self, values: Array) -> FeatureColumns:
        """Return the columns of X for cleaned values."""
        if self.column.kind == "datetime":
            return Values(_parts(values, self.column.parts))
        if self.mean is not None and self.std is not None:
            values = (values - self.mean) / self.std
        if self.column.kind != "category":
            return Values(values[:, None])
        if self.column.encoding == "codes":
            return Values(np.where(values == _GAP, np.nan, values)[:, None])
        codes = [self._known[category] for category in self._encoded_categories]
        # Unknown and missing values have negative codes: they take the last two entries.
        positions = np.full(len(self._known) + 2, -1)
        positions[codes] = np.arange(len(codes))
        positions[_GAP] = Indicators.MISSING
        return Indicators(positions[values], len(codes))

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Step:
        """Return the step with these plain values."""
        step = from_plain(cls, plain)
        step._check_fit()
        return step

    def _check_fit(self) -> None:
        """Check that the parts of a stored step belong together.

        Raises
        ------
        ValueError, TypeError
            When they do not.
        """
        kind, categories = self.column.kind, self.categories
        if kind is None:
            raise ValueError(f"column {shortened(self.name)} has no kind")
        if (kind == "category") != (categories is not None):
            raise ValueError(f"column {shortened(self.name)} is a {kind} with wrong categories")
        if categories is not None and (not categories or len({*categories}) < len(categories)):
            raise ValueError(f"the categories of {shortened(self.name)} are not distinct")
        _ = self.rules  # checks the categories and the options of the column together
        if categories is not None and self.column.reference is not None:
            _check_reference(self.name, self.column.reference, categories)
        if self.fill is not None:
            limit(self.fill, kind)
        self._check_scale()

    def _check_scale(self) -> None:
        if self.column.scale is None:
            if self.mean is not None or self.std is not None:
                raise ValueError(f"column {shortened(self.name)} is not declared to be scaled")
        elif self.mean is None or self.std is None:
            raise ValueError(f"column {shortened(self.name)} has no mean and no std to scale by")
        elif not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std > 0):
            raise ValueError(f"the mean or the std of {shortened(self.name)} cannot scale values")


def _check_reference(name: str, reference: str | None, categories: Sequence[str]) -> None:
    """Refuse a reference that is no category, or the only one, which leaves no column.

    Raises
    ------
    InvalidData
        When the reference does not fit the categories.
    """
    if reference is None:
        return
    if reference not in categories:
        some = first_texts(categories, 8, quoted=True)
        raise InvalidData(
            f"column {name!r} has no category {short_text(reference)!r}, which is its reference: "
            f"it has {some}"
        )
    if len(categories) == 1:
        raise InvalidData(
            f"column {name!r} has no category but its reference {short_text(reference)!r}, so no "
            f"column is left: leave it out with features="
        )


def violation(rule: str, column: Column) -> str:
    """Return words for a value that breaks a rule."""
    low = "anything" if column.minimum is None else column.minimum
    high = "anything" if column.maximum is None else column.maximum
    return {
        "unparsable": f"a value that is not a {column.kind}",
        "out_of_range": f"a value outside {low} to {high}",
        "unknown": "a value that is none of the categories",
        "missing": "a missing value",
        "duplicates": "a value that an earlier row has",
    }[rule]


def _too_many(name: str, column: Column, some: Sequence[str]) -> str:
    kind = kind_of_texts(pa.array(some, pa.large_string()))
    looks_like = ""
    if kind in ("number", "datetime"):
        looks_like = f"storage.Column({kind!r}), since most values look like a {kind}, or "
    return (
        f"column {name!r} has more than {column.max_categories:,} categories "
        f"({first_texts(some[:3], 3, quoted=True)}, ...): leave it out with features=, declare it "
        f"as another kind, such as {looks_like}storage.Column('key') if it only identifies rows, "
        f"or allow more with storage.Column('category', max_categories=...)"
    )


def _categories(column: Column, found: ColumnTally) -> tuple[str, ...]:
    if column.categories is not None:
        return tuple(column.categories)
    categories = set(found.categories or ())
    if categories and column.fill_value is not None:
        categories.add(str(column.fill_value))  # rows that are imputed with it have it
    return tuple(sorted(categories, key=_in_order(categories)))


def _in_order(categories: Iterable[str]) -> Callable[[str], Any]:
    """Return a key that sorts categories as numbers if all of them are integers, else as texts."""
    if all(_INTEGER.fullmatch(each) for each in categories):
        return lambda text: (int(text), text)
    return lambda text: text


def _imputed(column: Column, found: ColumnTally, summary: Summary | None) -> Label | None:
    if column.kind == "number":
        return None if summary is None or not summary.count[0] else float(summary.mean[0])
    counts = found.categories or {}
    if not any(counts.values()):
        return None
    most = max(counts, key=lambda each: counts[each])  # the first of several, which are sorted
    return float(most == "True") if column.kind == "boolean" else most


def _standard(name: str, summary: Summary | None) -> tuple[float, float]:
    """Return the mean and the standard deviation of a column, or 1 if it is constant."""
    if summary is None or not summary.count[0]:
        raise InvalidData(
            f"column {name!r} has no value to standardise by: leave it out with features=, or "
            f"declare it without scale"
        )
    if summary.low[0] == summary.high[0]:
        return float(summary.low[0]), 1.0
    mean, std = float(summary.mean[0]), float(np.sqrt(summary.squares[0] / summary.count[0]))
    if not (np.isfinite(mean) and np.isfinite(std) and std > 0):
        raise InvalidData(
            f"column {name!r} cannot be standardised: its values, {summary.low[0]:g} to "
            f"{summary.high[0]:g}, are too large or too close to each other for the squares of "
            f"float64. Convert them to another unit, or declare the column without scale"
        )
    return mean, std


def _parts(times: Array, parts: Sequence[str]) -> Array:
    import pandas as pd

    index = pd.DatetimeIndex(times)
    columns = [getattr(index, "day_of_week" if part == "weekday" else part) for part in parts]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
