"""Convert columns of a pandas frame, found by their names, to one NumPy array.

A frame's own ``to_numpy`` would convert booleans beside floats, and nullable integers, to Python
objects. It would also take columns by position, and round large integers silently.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.digits import loses_digits

__all__ = ["Columns", "advice_for", "number_dtype"]


@dataclass(frozen=True)
class Columns:
    """Makes the NumPy array of one partition, or of a whole frame in memory.

    Attributes
    ----------
    name : str
        Name of the array: ``"X"``, ``"y"`` or ``"sample_weight"``.
    labels : tuple or None
        The columns, in their order; None for a Series.
    dtypes : tuple of str
        NumPy's name of the dtype of each column.
    dtype : str
        NumPy's name of the dtype of the array.
    """

    name: str
    labels: tuple[Hashable, ...] | None
    dtypes: tuple[str, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, frame: Any, *, lazy: bool = False) -> Columns:
        """Return the converter for a frame or Series. For a lazy frame, pass its meta.

        Integers and booleans keep their dtype in X if no value can be missing: with NumPy's
        dtypes, and with nullable dtypes of a frame in memory without missing values.

        Raises
        ------
        TypeError
            When a column does not hold numbers; the message names the column.
        """
        if frame.ndim == 1:
            labels, given = None, [frame.dtype]
        else:
            labels, given = tuple(frame.columns), list(frame.dtypes)
        dtypes = []
        for position, dtype in enumerate(given):
            number = number_dtype(dtype)
            if number is None:
                what = name if labels is None else f"column {labels[position]!r} of {name}"
                raise TypeError(
                    f"{what} has dtype {dtype}, which cannot be stored: {advice_for(name, dtype)}"
                )
            dtypes.append(number)
        common = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
        if name != "y" and common.kind != "f" and _may_miss_values(frame, given, lazy):
            # A missing value becomes NaN.
            common = np.dtype(np.float64)
        return cls(name, labels, tuple(each.name for each in dtypes), common.name)

    def __call__(self, frame: Any, partition: int | None = None) -> npt.NDArray[np.generic]:
        """Return the array of the columns. If values of y are missing, it is a masked array.

        Raises
        ------
        TypeError, ValueError
            When the frame differs from the promised one; the message names partition and column.
        """
        where = self.name if partition is None else f"partition {partition} of {self.name}"
        if self.labels is None and isinstance(frame, np.ndarray) and frame.ndim == 1:
            # map_partitions(model.predict), for example, returns arrays, which Dask accepts.
            from pandas import Series

            frame = Series(frame)
        series = self._series(frame, where)
        n_rows = len(frame)
        if self.labels is None:
            return self._column(series[0], 0, where) if n_rows else np.empty(0, self.dtype)
        if not n_rows:
            # An empty partition may have any dtypes: it has no values to convert.
            return np.empty((0, len(self.labels)), self.dtype)
        if all(isinstance(dtype, np.dtype) and dtype.name == self.dtype for dtype in frame.dtypes):
            ordered = frame if list(frame.columns) == list(self.labels) else frame[[*self.labels]]
            whole: npt.NDArray[np.generic] = ordered.to_numpy()
            return whole
        columns = [self._column(each, index, where) for index, each in enumerate(series)]
        if any(isinstance(column, np.ma.MaskedArray) for column in columns):
            stacked: npt.NDArray[np.generic] = np.ma.stack(columns, axis=1)
            return stacked
        return np.stack(columns, axis=1)

    def _series(self, frame: Any, where: str) -> list[Any]:
        """Return the columns in the promised order."""
        ndim = getattr(frame, "ndim", 0)
        if ndim != (1 if self.labels is None else 2) or not hasattr(frame, "to_numpy"):
            promised = "a Series" if self.labels is None else "a DataFrame"
            raise TypeError(f"{where} came as {type(frame).__name__} where {promised} was promised")
        if self.labels is None:
            return [frame]
        found = list(frame.columns)
        if found == list(self.labels):
            return [frame.iloc[:, position] for position in range(len(found))]
        if sorted(map(repr, found)) != sorted(map(repr, self.labels)) or len(set(found)) < len(
            found
        ):
            raise ValueError(
                f"{where} has {len(found)} columns, {_listed(found)}, where the "
                f"{len(self.labels)} columns {_listed(self.labels)} were promised: make all "
                f"partitions alike, or give the right meta"
            )
        return [frame[label] for label in self.labels]

    def _column(self, series: Any, position: int, where: str) -> npt.NDArray[np.generic]:
        found = number_dtype(series.dtype)
        what = where if self.labels is None else f"column {self.labels[position]!r} in {where}"
        promised = np.dtype(self.dtypes[position])
        if found is None:
            raise TypeError(
                f"{what} has dtype {series.dtype} where {promised} was promised: "
                f"{advice_for(self.name, series.dtype)}"
            )
        missing = None
        if isinstance(series.dtype, np.dtype):
            values = series.to_numpy()
        else:
            absent = series.isna().to_numpy()
            missing = absent if absent.any() else None
            # Fill first: pandas would convert integers beside missing values to floats, rounded.
            filled = series if missing is None else series.fillna(found.type(0).item())
            values = filled.to_numpy(dtype=found)
        target = np.dtype(self.dtype)
        if self.name == "y" or not np.can_cast(values.dtype, target, "safe"):
            values, missing = _as_promised(values, missing, promised, what)
        if target.kind == "f":
            _refuse_lost_digits(values, target, series, what)
        result: npt.NDArray[np.generic] = values.astype(target, copy=False)
        if missing is None:
            return result
        if self.name == "y":
            return np.ma.MaskedArray(result, mask=missing)
        if target.kind != "f":
            index = series.index[int(np.flatnonzero(missing)[0])]
            raise ValueError(
                f"{what} has a missing value (index {index!r}) where {promised} was promised, "
                f"which cannot hold it: convert the column with astype('float64') first"
            )
        result = result.copy()
        result[missing] = np.nan
        return result


def _may_miss_values(frame: Any, dtypes: Sequence[Any], lazy: bool) -> bool:
    """Return whether a column has missing values, or may have some because it is lazy."""
    columns = [frame] if frame.ndim == 1 else [frame.iloc[:, i] for i in range(len(dtypes))]
    return any(
        lazy or bool(column.isna().any())
        for column, dtype in zip(columns, dtypes, strict=True)
        if not isinstance(dtype, np.dtype)
    )


def number_dtype(dtype: Any) -> np.dtype[Any] | None:
    """Return NumPy's dtype for a column of numbers; None if the column holds something else."""
    if not isinstance(dtype, np.dtype):
        # Nullable and pyarrow dtypes have an attribute numpy_dtype, sparse dtypes have subtype.
        sparse = type(dtype).__name__ == "SparseDtype"  # interval dtypes have subtype, too
        dtype = dtype.subtype if sparse else getattr(dtype, "numpy_dtype", None)
    if isinstance(dtype, np.dtype) and (
        dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8)
    ):
        return dtype
    return None


def advice_for(name: str, dtype: Any) -> str:
    """Return advice, for an error message, on values that are not numbers."""
    kind = getattr(dtype, "kind", "O")
    if kind == "c":
        return "store its real and imaginary parts as two columns"
    if kind in "Mm":
        return "convert it to numbers first, e.g. seconds since a day of your choice"
    if kind == "f":
        return "convert it to float64 first"
    if name == "y":
        return (
            "encode labels as integers (codes, e.g. np.unique(y, return_inverse=True)) and give "
            "the labels as classes="
        )
    return "encode text as numbers, and convert columns of Python objects with astype(float)"


def _as_promised(
    values: npt.NDArray[Any],
    missing: npt.NDArray[np.bool_] | None,
    promised: np.dtype[Any],
    what: str,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Convert values to the promised dtype without loss; return them and which are missing."""
    if np.can_cast(values.dtype, promised, "safe"):
        return values, missing
    if values.dtype.kind == "f" and promised.kind in "iu":
        # pandas reads integers with a missing value as floats.
        absent = np.isnan(values)
        whole = np.where(absent, 0, values)
        limit = float(np.iinfo(promised).max) + 1
        if np.all((whole == np.trunc(whole)) & (whole < limit) & (whole >= np.iinfo(promised).min)):
            missing = absent if missing is None else absent | missing
            return whole.astype(promised), missing if missing.any() else None
    if values.dtype.kind in "iu" and promised.kind in "iu":
        converted = values.astype(promised)
        if np.array_equal(converted, values) and np.all((converted < 0) == (values < 0)):
            return converted, missing
    raise TypeError(
        f"{what} has dtype {values.dtype} where {promised} was promised, and its values do not "
        f"all convert: make all partitions alike, or give the right meta"
    )


def _refuse_lost_digits(
    values: npt.NDArray[Any], target: np.dtype[Any], series: Any, what: str
) -> None:
    lost = loses_digits(values, target)
    if lost is not None:
        raise ValueError(
            f"{what} holds {values[lost]} (index {series.index[lost[0]]!r}), which {target} would "
            f"round: integers above 2**53 lose digits. Subtract an offset, split it into two "
            f"columns, or round it yourself with astype(float)"
        )


def _listed(labels: Sequence[Hashable]) -> str:
    shown = ", ".join(map(repr, labels[:6]))
    return f"[{shown}, ...]" if len(labels) > 6 else f"[{shown}]"
