"""Convert partitions of a Dask data frame to blocks of arrays: columns by name, dtypes as promised.

pandas has several dtypes for the same numbers (NumPy's, nullable ones, Arrow's). A partition may
also differ from what its data frame promises: columns may be in another order, and integers may
have become floats. The resulting array is the same in all these cases. A missing number becomes
NaN, and any other missing value becomes None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlbd_estimators.exceptions import BadBlock


def features(frame: Any, name: str = "X") -> da.Array:
    """Return the columns of a Dask data frame as a lazy array of numbers.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        All its columns are numeric or boolean, of any pandas dtype.
    name : str
        Name of the data frame, for messages.

    Returns
    -------
    dask.array.Array of shape (nan, n_columns)
        Its dtype is the common dtype of all columns; missing values are NaN.

    Raises
    ------
    TypeError, ValueError
        A column is not numeric. The message names the column.
    """
    check_numeric_columns(frame, name)
    dtypes = [numeric_dtype(dtype) for dtype in frame.dtypes]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return _array(frame, Numbers(name, frame.columns, dtype), (len(dtypes),), dtype)


def check_numeric_columns(frame: Any, name: str = "X") -> None:
    """Refuse a Dask data frame with columns that are not numeric; the errors name the column."""
    for label, dtype in frame.dtypes.items():
        check_numeric_dtype(f"Column {label!r} of {name}", numeric_dtype(dtype), dtype)


def column(values: Any, name: str) -> da.Array:
    """Return a Dask series, or a Dask data frame of several targets, as a lazy array.

    Parameters
    ----------
    values : dask.dataframe.Series or dask.dataframe.DataFrame
        Targets, labels, weights or predictions.
    name : str
        Name of the data, for messages.

    Returns
    -------
    dask.array.Array of shape (nan,) or (nan, n_columns)
        Numbers if all columns are numeric or boolean, dates if a single column has dates, else
        objects.
    """
    if values.ndim == 2:
        dtypes = [numeric_dtype(dtype) for dtype in values.dtypes]
        if all(dtype.kind in "biufc" for dtype in dtypes):
            dtype = np.result_type(*dtypes)
            return _array(values, Numbers(name, values.columns, dtype), (len(dtypes),), dtype)
        objects = np.dtype(object)
        return _array(values, Objects(name, values.columns), (len(dtypes),), objects)
    dtype = numeric_dtype(values.dtype)
    if dtype.kind in "biufcmM":
        return _array(values, Numbers(name, None, dtype), (), dtype)
    return _array(values, Objects(name, None), (), np.dtype(object))


def numeric_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype for a column's dtype, or object if there is no such dtype.

    A column of categories has the dtype of its categories, and Arrow's decimals become float64.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return np.dtype(object) if dtype.categories is None else _number(dtype.categories.dtype)
    if isinstance(dtype, pd.ArrowDtype) and _is_decimal(dtype):
        return np.dtype(np.float64)
    return _number(dtype)


def _number(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, np.dtype):
        return dtype
    sparse = isinstance(dtype, pd.SparseDtype)
    found = np.dtype(dtype.subtype if sparse else getattr(dtype, "numpy_dtype", object))
    return found if found.kind in "biufc" else np.dtype(object)


def _is_decimal(dtype: pd.ArrowDtype) -> bool:
    from pyarrow import types

    return bool(types.is_decimal(dtype.pyarrow_dtype))


def check_numeric_dtype(name: str, dtype: np.dtype[Any], shown: Any = None) -> None:
    """Refuse a dtype that is not boolean, integer or float.

    Parameters
    ----------
    name : str
        Name of the data, for messages.
    dtype : dtype
        NumPy's dtype of the data.
    shown : dtype, optional
        The dtype that the message shows, if it is not ``dtype``: the one that the user sees.

    Raises
    ------
    TypeError
        The data are strings, objects or dates.
    ValueError
        The data are complex numbers.
    """
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {dtype}.")
    if dtype.kind not in "biuf":
        raise TypeError(
            f"{name} has dtype {dtype if shown is None else shown}, but must be numeric. Encode "
            f"text by OneHotEncoder or OrdinalEncoder of dlbd_estimators.preprocessing, or convert "
            f"numbers with .astype('float64')."
        )


def _array(frame: Any, convert: Any, width: tuple[int, ...], dtype: np.dtype[Any]) -> da.Array:
    array: da.Array = frame.map_partitions(convert, meta=np.empty((0, *width), dtype=dtype))
    return array


class Aligned:
    """Put the columns of a partition into the order of its data frame, by their names.

    Parameters
    ----------
    name : str
        Name of the data frame, for messages.
    columns : Index or None
        Columns of the data frame; None for a series.
    dtypes : list of dtype, optional
        Dtypes of the columns, or of the series.
    """

    def __init__(self, name: str, columns: Any, dtypes: Sequence[Any] = ()) -> None:
        self.name = name
        self.columns = columns
        self.dtypes = list(dtypes)

    def aligned(self, block: Any) -> Any:
        """Return the partition with its columns in order.

        Raises
        ------
        BadBlock
            The partition has other columns, or dates where numbers were promised.
        """
        if self.columns is None and isinstance(block, np.ndarray) and block.ndim == 1:
            block = pd.Series(block)  # from map_partitions(model.predict), for example
        wanted = pd.Series if self.columns is None else pd.DataFrame
        if not isinstance(block, wanted):
            kind = type(block)
            raise BadBlock(
                f"a partition of {self.name} is a {kind.__module__.partition('.')[0]} "
                f"{kind.__name__}, where a {wanted.__name__} was promised. Look for a function of "
                f"partitions (map_partitions, from_map, from_delayed) that returns another type "
                f"than its meta has."
            )
        block = self._in_order(block)
        found = enumerate(zip(_dtypes(block), self.dtypes, strict=False))
        for position, (dtype, promised) in found:
            if getattr(dtype, "kind", "O") in "mM" and numeric_dtype(promised).kind in "biufc":
                label = "" if self.columns is None else f"column {self.columns[position]!r} of "
                raise BadBlock(
                    f"{label}{self.name} has dtype {dtype} in a partition, but {promised} was "
                    f"promised."
                )
        return block

    def _in_order(self, block: Any) -> Any:
        if self.columns is None or block.columns.equals(self.columns):
            return block
        found, expected = list(block.columns), list(self.columns)
        if len(found) != len(expected) or set(found) != set(expected):
            missing = [each for each in expected if each not in found]
            extra = [each for each in found if each not in expected]
            raise BadBlock(
                f"a partition of {self.name} has {len(found)} columns where {len(expected)} "
                f"columns were promised: {missing} are missing, {extra} are not expected."
            )
        return block[expected]


class Numbers(Aligned):
    """Convert a partition to an array of numbers.

    Parameters
    ----------
    name, columns
        Name and columns of the data frame, as for :class:`Aligned`.
    dtype : dtype
        Dtype of the result. A block of integers or booleans with missing values becomes float64.
    """

    __name__ = "numbers"  # names the tasks

    def __init__(self, name: str, columns: Any, dtype: np.dtype[Any]) -> None:
        numeric = dtype.kind in "biufc"
        super().__init__(name, columns, [dtype] * (1 if columns is None else len(columns)))
        self.dtypes = self.dtypes if numeric else []
        self.dtype = dtype

    def __call__(self, block: Any) -> NDArray[Any]:
        block = self.aligned(block)
        dtype = self._dtype_of(block)
        try:
            return _to_numpy(block, dtype)
        except (TypeError, ValueError) as error:
            raise BadBlock(f"{self._first_bad_column(block, dtype)}: {error}") from error

    def _dtype_of(self, block: Any) -> np.dtype[Any]:
        """Return the common dtype of the promised dtype and the dtypes of the block.

        With the promised dtype alone, numbers of another dtype could be rounded without a warning.
        """
        if self.dtype.kind not in "biuf":
            return self.dtype
        if self.dtype.kind != "f" and block.isna().to_numpy().any():
            return np.dtype(np.float64)
        found = {numeric_dtype(each) for each in _dtypes(block)}
        numbers = (each if each.kind in "biuf" else np.dtype(np.float64) for each in found)
        return np.result_type(self.dtype, *numbers)

    def _first_bad_column(self, block: Any, dtype: np.dtype[Any]) -> str:
        if self.columns is None:
            return f"{self.name} cannot be converted to its promised dtype {dtype} in a partition"
        for position, column in enumerate(self.columns):
            try:
                _to_numpy(block.iloc[:, position], dtype)
            except (TypeError, ValueError):
                return (
                    f"column {column!r} of {self.name} cannot be converted to its promised dtype "
                    f"{dtype} in a partition"
                )
        return f"{self.name} cannot be converted to its promised dtype {dtype} in a partition"


def _dtypes(block: Any) -> list[Any]:
    return [block.dtype] if block.ndim == 1 else list(block.dtypes)


def _to_numpy(block: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind in "mM":
        return np.asarray(block.to_numpy(dtype=dtype))
    if dtype.kind not in "fc":
        return np.asarray(block.to_numpy(dtype=dtype))
    return np.asarray(block.to_numpy(dtype=dtype, na_value=np.nan))


class Objects(Aligned):
    """Convert a partition to an array of objects, in which missing values are None."""

    __name__ = "objects"

    def __call__(self, block: Any) -> NDArray[Any]:
        block = self.aligned(block)
        values: NDArray[Any] = np.array(block.to_numpy(dtype=object), dtype=object)
        values[pd.isna(block).to_numpy()] = None
        return values
