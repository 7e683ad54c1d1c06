"""Select the rows of a training or test set by a column: by the hash of a key, or by time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.ingestion.cells import Mask, as_texts, read_cells
from storage.ingestion.column import limit, plain_value
from storage.plain_values import from_plain

__all__ = [
    "Chosen",
    "HashSplit",
    "RowSelection",
    "TimeSplit",
    "selection_from_json",
]


class Chosen(NamedTuple):
    """Which raw rows are used.

    Attributes
    ----------
    selected, missing : ndarray of bool of shape (n_rows,)
        Masks of the rows that are used, and of those without a value to select by.
    splits : ndarray of int of shape (n_rows,) or None
        For each row the number of its split, -1 if it is in none; None if there are no splits.
    """

    selected: Mask
    missing: Mask
    splits: npt.NDArray[np.int8] | None = None


@dataclass(frozen=True)
class RowSelection:
    """Base class of selections of rows by one column."""

    column: str

    @abstractmethod
    def measured(self, values: pa.ChunkedArray) -> tuple[npt.NDArray[Any], Mask]:
        """Return the number or time by which each row is selected, and where it is missing.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            Values of the column.

        Returns
        -------
        measured, missing : ndarray of shape (n_rows,)
            The numbers or times, and a mask.
        """

    @abstractmethod
    def _limits(self) -> tuple[Any, Any]:
        """Return the smallest selected number or time, and the first beyond; None for no limit."""

    def _kind(self) -> tuple[Any, ...]:
        """Return what two selections have in common if their limits can be compared."""
        return type(self), self.column

    def within(self, measured: npt.NDArray[Any]) -> Mask:
        """Return which numbers or times are in the range of this selection.

        Parameters
        ----------
        measured : ndarray of shape (n_rows,)
            Numbers or times; NaT is in no range that has a limit.

        Returns
        -------
        ndarray of bool of shape (n_rows,)
            Mask of the rows.
        """
        low, high = self._limits()
        selected = np.ones(len(measured), bool)
        if low is not None:
            selected &= measured >= low
        if high is not None:
            selected &= measured < high
        return selected

    def mask(self, values: pa.ChunkedArray) -> tuple[Mask, Mask]:
        """Return which rows are selected, and which have no value to select by.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            Values of the column.

        Returns
        -------
        selected, missing : ndarray of bool of shape (n_rows,)
            Masks of the rows.
        """
        measured, missing = self.measured(values)
        return self.within(measured) & ~missing, missing

    def chosen(self, values: pa.ChunkedArray) -> Chosen:
        """Return which rows are selected.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            Values of the column.

        Returns
        -------
        Chosen
            The masks of :meth:`mask`.
        """
        return Chosen(*self.mask(values))

    @abstractmethod
    def without_limits(self) -> RowSelection:
        """Return the selection of all rows by the same number or time.

        Returns
        -------
        HashSplit or TimeSplit
            It is equal for two selections whose ranges can be compared.
        """

    def overlaps(self, other: RowSelection) -> bool:
        """Return whether some rows are in both selections, as far as that is known.

        Parameters
        ----------
        other : HashSplit or TimeSplit
            Another selection.

        Returns
        -------
        bool
            False also if the selections are by different columns, hashes or kinds.
        """
        if self._kind() != other._kind():
            return False
        (low, high), (other_low, other_high) = self._limits(), other._limits()
        begins_before = low is None or other_high is None or low < other_high
        return bool(begins_before and (other_low is None or high is None or other_low < high))

    def to_json(self) -> dict[str, Any]:
        """Return the selection as plain values, for JSON.

        Returns
        -------
        dict
            The kind of the selection and its parameters.
        """
        return {"by": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class HashSplit(RowSelection):
    """Select rows by the hash of a key, such as a customer's number.

    The text of the key is hashed to a number in [0, 1), evenly distributed. All rows with the same
    key are in the same set, in every file and in every later ingest, for any number of workers.

    Parameters
    ----------
    column : str
        The raw column with the key. It need not be a feature.
    start, stop : float, default=0.0, 1.0
        Rows are selected if ``start <= hash < stop``: the expected share of keys is
        ``stop - start``.
    seed : int, default=0
        Another seed gives another assignment of keys.

    Raises
    ------
    ValueError
        When ``start`` and ``stop`` are not a range in [0, 1].

    Examples
    --------
    >>> import storage
    >>> train = storage.HashSplit("customer", stop=0.8)
    >>> test = storage.HashSplit("customer", start=0.8)
    >>> train.overlaps(test)
    False
    """

    start: float = 0.0
    stop: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= 1:
            raise ValueError(
                f"start and stop must be a range in [0, 1], got {self.start} to {self.stop}"
            )

    def measured(self, values: pa.ChunkedArray) -> tuple[npt.NDArray[Any], Mask]:
        import pandas as pd

        texts = pa.chunked_array([as_texts(each) for each in values.chunks], pa.large_string())
        missing = texts.is_null().to_numpy(zero_copy_only=False)
        keys = texts.fill_null("").to_numpy(zero_copy_only=False).astype(object)
        # SipHash with a key of 16 characters.
        hashes = pd.util.hash_array(keys, encoding="utf8", hash_key=f"{self.seed % 10**16:016d}")
        # The upper 53 bits, which a float holds exactly.
        return (hashes >> np.uint64(11)) * 2.0**-53, missing

    def without_limits(self) -> HashSplit:
        return replace(self, start=0.0, stop=1.0)

    def _limits(self) -> tuple[float, float]:
        return self.start, self.stop

    def _kind(self) -> tuple[Any, ...]:
        return *super()._kind(), self.seed

    def __str__(self) -> str:
        seed = f" (seed {self.seed})" if self.seed else ""
        return f"rows whose hash of {self.column!r}{seed} is in [{self.start:g}, {self.stop:g})"


@dataclass(frozen=True)
class TimeSplit(RowSelection):
    """Select rows by a time, for example to train on the past and to test on what followed.

    Parameters
    ----------
    column : str
        The raw column with the time. It need not be a feature.
    start, stop : str or datetime, optional
        Rows are selected if ``start <= time < stop``, in ISO 8601; None means no limit. Times with
        a zone are converted to UTC.
    format : str, optional
        How times are written, in the notation of :meth:`datetime.datetime.strptime`; None means
        ISO 8601.

    Raises
    ------
    ValueError
        When a limit is not a time, or ``start`` is not before ``stop``.

    Examples
    --------
    >>> import storage
    >>> train = storage.TimeSplit("departure", stop="2013-10-01")
    >>> test = storage.TimeSplit("departure", start="2013-10-01")
    >>> train.overlaps(test)
    False
    """

    start: str | None = None
    stop: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            object.__setattr__(self, name, plain_value(name, getattr(self, name)))
        low, high = self._limits()
        if low is not None and high is not None and not low < high:
            raise ValueError(f"start {self.start} is not before stop {self.stop}")

    def _limits(self) -> tuple[Any, Any]:
        low, high = (
            None if each is None else limit(each, "datetime") for each in (self.start, self.stop)
        )
        return low, high

    def without_limits(self) -> TimeSplit:
        return replace(self, start=None, stop=None)

    def measured(self, values: pa.ChunkedArray) -> tuple[npt.NDArray[Any], Mask]:
        times = read_cells(values, "datetime", self.format).values
        return times, np.isnat(times)

    def __str__(self) -> str:
        low = "" if self.start is None else f" from {self.start}"
        high = "" if self.stop is None else f" before {self.stop}"
        return f"rows whose {self.column!r} is a time{low}{high}"


def selection_from_json(plain: Mapping[str, Any] | None) -> RowSelection | None:
    """Return the selection with these plain values; None if all rows are selected."""
    if plain is None:
        return None
    options = dict(plain)
    kind = {"HashSplit": HashSplit, "TimeSplit": TimeSplit}[str(options.pop("by"))]
    return from_plain(kind, options)
