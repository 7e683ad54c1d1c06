"""The declaration of one raw column: its kind, its range, and policies for broken rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from storage.schema import Label

__all__ = ["DATETIME_PARTS", "Column", "Kind", "limit", "plain_value"]

Kind = Literal["number", "boolean", "category", "datetime", "key"]

#: Parts of a datetime; Monday is weekday 0.
DATETIME_PARTS = ("year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second")

_POLICIES = {
    "missing": ("keep", "error", "drop", "impute"),
    "unparsable": ("error", "drop", "missing"),
    "out_of_range": ("error", "drop", "missing", "clip"),
    "unknown": ("error", "drop", "missing", "ignore"),
    "duplicates": ("allow", "error", "drop"),
}
#: The kinds that an option applies to.
_ONLY_FOR = {
    "categories": ("category",),
    "encoding": ("category",),
    "unknown": ("category",),
    "max_categories": ("category",),
    "reference": ("category",),
    "parts": ("datetime",),
    "format": ("datetime",),
    "minimum": ("number", "datetime"),
    "maximum": ("number", "datetime"),
    "out_of_range": ("number", "datetime"),
    "unit": ("number",),
    "scale": ("number",),
}


@dataclass(frozen=True)
class Column:
    """Declare how :func:`~storage.ingest` reads, checks and encodes one column of raw data.

    A policy determines what happens to a value that breaks a rule: ``"error"`` stores nothing and
    names the first such values, ``"drop"`` leaves out the row, ``"missing"`` makes it a missing
    value, to which the policy `missing` then applies. The quality report counts every such value.
    If one value leaves out a row, the other values of the row raise no error.

    Parameters
    ----------
    kind : {"number", "boolean", "category", "datetime", "key"}, optional
        None means the kind is inferred from a sample. Text is a category. A key identifies rows: it
        is compared as text, and is not stored, so it is neither a feature nor the target.
    categories : sequence of str, optional
        The categories of a column, in order. None means the categories that occur, sorted, and
        `fill_value`.
    encoding : {"one-hot", "codes"}, default="one-hot"
        One column of 0 and 1 for each category, or one column of their numbers from 0.
    max_categories : int, default=1000
        Largest number of categories; more are an error that names the column.
    reference : str, optional
        The category without a column of its own: its rows are 0 in the columns of all others. Use
        it for linear models, whose coefficients then compare the other categories with this one.
        None means each category has a column.
    parts : sequence of str, default=("year", "month", "weekday", "hour")
        The parts of a datetime that become columns of X: year, month, day, weekday (Monday is 0),
        day_of_year, hour, minute, second. Times with a zone are converted to UTC.
    format : str, optional
        How datetimes are written, in the notation of :meth:`datetime.datetime.strptime`; None
        means ISO 8601.
    minimum, maximum : float or str, optional
        Smallest and largest allowed value; of a datetime in ISO 8601.
    missing : {"keep", "error", "drop", "impute"}, default="keep"
        Policy for a missing value. ``"keep"`` stores NaN in all columns of X that the raw column
        becomes.
    fill_value : float, str or bool, optional
        The value that ``missing="impute"`` fills in. None means the mean of a number, and the most
        frequent value of a category or boolean. A datetime needs a value, in ISO 8601.
    unparsable : {"error", "drop", "missing"}, default="error"
        Policy for a value that is not of the kind, not finite, or an integer that float64 would
        round.
    out_of_range : {"error", "drop", "missing", "clip"}, default="error"
        Policy for a value below `minimum` or above `maximum`.
    unknown : {"error", "drop", "missing", "ignore"}, default="error"
        Policy for a value that is none of the categories. ``"ignore"`` encodes it as 0 in each
        column.
    duplicates : {"allow", "error", "drop"}, default="allow"
        Policy for a value that an earlier row has, in the order of the source; of appended rows,
        also one that a stored row has. Missing values, and rows that other policies leave out, are
        not compared. ``"error"`` and ``"drop"`` need a further reading of this column, and store
        hashes of its values.
    unit : str, optional
        The unit of a number, such as ``"km/h"``. It is stored and shown, and converts nothing.
    scale : {"standard"}, optional
        ``"standard"`` stores ``(x - mean) / std`` in place of a number x. Mean and standard
        deviation (divided by the count) are those of the kept rows, without missing values. A
        constant column is only centred.

    Raises
    ------
    ValueError, TypeError
        When an option is unknown, or does not apply to a column of this kind.

    Examples
    --------
    >>> import storage
    >>> age = storage.Column("number", minimum=0, maximum=120, out_of_range="missing")
    >>> age.out_of_range
    'missing'
    """

    kind: Kind | None = None
    categories: Sequence[str] | None = None
    encoding: Literal["one-hot", "codes"] = "one-hot"
    max_categories: int = 1000
    reference: str | None = None
    parts: Sequence[str] = ("year", "month", "weekday", "hour")
    format: str | None = None
    minimum: float | str | None = None
    maximum: float | str | None = None
    missing: Literal["keep", "error", "drop", "impute"] = "keep"
    fill_value: Label | None = None
    unparsable: Literal["error", "drop", "missing"] = "error"
    out_of_range: Literal["error", "drop", "missing", "clip"] = "error"
    unknown: Literal["error", "drop", "missing", "ignore"] = "error"
    duplicates: Literal["allow", "error", "drop"] = "allow"
    unit: str | None = None
    scale: Literal["standard"] | None = None

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, (None, *get_args(Kind)))
        _one_of("encoding", self.encoding, ("one-hot", "codes"))
        _one_of("scale", self.scale, (None, "standard"))
        _check_unit(self.unit)
        for name, allowed in _POLICIES.items():
            _one_of(name, getattr(self, name), allowed)
        if self.fill_value is not None and self.missing != "impute":
            raise ValueError("fill_value has no effect without missing='impute'")
        if self.unknown == "ignore" and self.encoding == "codes":
            raise ValueError(
                "unknown='ignore' needs encoding='one-hot': unknown categories have no code"
            )
        self._check_reference()
        self._check_out_of_range()
        for name in ("minimum", "maximum", "fill_value"):
            object.__setattr__(self, name, plain_value(name, getattr(self, name)))
        object.__setattr__(self, "parts", _texts("parts", self.parts))
        for part in self.parts:
            _one_of("parts", part, DATETIME_PARTS)
        if self.categories is not None:
            object.__setattr__(self, "categories", _texts("categories", self.categories))
        known = self.categories
        if known is not None and self.fill_value is not None and self.fill_value not in known:
            raise ValueError(f"fill_value {self.fill_value!r} is none of the categories {known}")
        if self.kind is not None:
            self.check_fits(self.kind)

    def _check_out_of_range(self) -> None:
        if self.out_of_range != "error" and self.minimum is None and self.maximum is None:
            raise ValueError("out_of_range has no effect without minimum or maximum")
        if self.out_of_range == "clip" and self.duplicates != "allow":
            raise ValueError(
                f"out_of_range='clip' makes different values equal, and "
                f"duplicates={self.duplicates!r} would compare them: choose another policy for one "
                f"of them"
            )

    def _check_reference(self) -> None:
        reference = self.reference
        if reference is None:
            return
        if not isinstance(reference, str):
            raise TypeError(f"reference must be a str, as categories are, got {reference!r}")
        if self.encoding == "codes":
            raise ValueError("reference needs encoding='one-hot': with codes there is one column")
        if self.unknown == "ignore":
            raise ValueError(
                f"unknown='ignore' encodes unknown categories as 0 in each column, which is the "
                f"encoding of the reference {reference!r}: choose another policy, or no reference"
            )
        if self.categories is not None and reference not in self.categories:
            raise ValueError(f"reference {reference!r} is none of the categories {self.categories}")

    @property
    def may_drop(self) -> bool:
        """Whether a value of this column can leave out its row, apart from duplicates."""
        return "drop" in (self.missing, self.unparsable, self.out_of_range, self.unknown)

    def check_fits(self, kind: Kind) -> None:
        """Refuse options that do not apply to a column of this kind.

        Parameters
        ----------
        kind : {"number", "boolean", "category", "datetime", "key"}
            Kind of the column.

        Raises
        ------
        ValueError
            When an option for other kinds differs from its default.
        """
        for field in fields(self):
            kinds = _ONLY_FOR.get(field.name)
            if kinds and kind not in kinds and getattr(self, field.name) != field.default:
                raise ValueError(
                    f"{field.name} applies to a column that is a {' or a '.join(kinds)}, and this "
                    f"column is a {kind}"
                )
        bounds = [limit(each, kind) for each in (self.minimum, self.maximum) if each is not None]
        if len(bounds) == 2 and not bounds[0] <= bounds[1]:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.fill_value is not None:
            limit(self.fill_value, kind)
        if kind == "key" and self.missing == "impute":
            raise ValueError(
                "a key is not stored, so it is not imputed: drop such rows, or keep them"
            )
        if kind == "datetime" and self.missing == "impute" and self.fill_value is None:
            raise ValueError(
                "a datetime is not imputed by its mean: give fill_value, or drop such rows"
            )


def plain_value(name: str, value: Any) -> Any:
    """Return a value that JSON can hold, with times as texts."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, np.datetime64):
        return str(value)
    value = value.item() if isinstance(value, np.generic) else value
    if value is not None and not isinstance(value, str | int | float | bool):
        raise TypeError(f"{name} must be a number, a text or a time, got {value!r}")
    return value


def _one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _check_unit(unit: Any) -> None:
    if unit is not None and not isinstance(unit, str):
        raise TypeError(f"unit must be a str such as 'km/h', got {unit!r}")
    if unit is not None and not unit.strip():
        raise ValueError("unit must not be empty: leave it out if the numbers have no unit")


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(each, str) for each in values):
        raise TypeError(f"{name} must be a sequence of str, got {values!r}")
    texts = tuple(values)
    if not texts or len(set(texts)) < len(texts):
        raise ValueError(f"{name} must be one or more distinct texts, got {texts}")
    return texts


def limit(value: Any, kind: Kind) -> Any:
    """Convert a bound or fill value to the type of the values of this kind; times are texts.

    Raises
    ------
    ValueError
        When it is not a value of the kind.
    """
    if kind == "datetime":
        # NumPy's parser warns about time zones; pandas converts them to UTC.
        import pandas as pd

        time = pd.Timestamp(value)
        return (time if time.tz is None else time.tz_convert(None)).to_numpy().astype("M8[us]")
    return float(value) if kind in ("number", "boolean") else str(value)
