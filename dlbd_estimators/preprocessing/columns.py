"""Convert columns of pandas' many dtypes to dtypes that scikit-learn supports.

scikit-learn supports NumPy's dtypes and, among pandas' own, numbers, strings and categories. Its
encoders refuse ``pandas.NA``, the missing value of most of pandas' own dtypes, but accept NaN. So
``pandas.NA`` becomes NaN here, and a column has the same categories in any dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlbd_estimators.blocks.data_frame_columns import numeric_dtype
from dlbd_estimators.exceptions import BadBlock


def without_na(block: Any) -> Any:
    """Convert columns to dtypes that scikit-learn supports, and ``pandas.NA`` to NaN.

    Parameters
    ----------
    block : object
        An array or a pandas frame; any other object is returned as it is. The block is not
        changed. It is returned itself if there is nothing to convert.
    """
    if isinstance(block, np.ndarray):
        return _objects_without_na(block)
    if not isinstance(block, pd.DataFrame):
        return block
    columns = [block.iloc[:, i] for i in range(block.shape[1])]
    known = [_known(column) for column in columns]
    if all(a is b for a, b in zip(columns, known, strict=True)):
        return block
    return pd.DataFrame(dict(enumerate(known)), index=block.index).set_axis(block.columns, axis=1)


def numbers_without_na(block: Any) -> Any:
    """Do the same as :func:`without_na`; also convert nullable numbers with missing values.

    They become float64.
    """
    if not isinstance(block, pd.DataFrame):
        return without_na(block)
    floats = {
        position: np.dtype(np.float64)
        for position, dtype in enumerate(block.dtypes)
        if not isinstance(dtype, np.dtype)
        and numbers_dtype(dtype) is not None
        and block.iloc[:, position].isna().any()
    }
    if floats:
        numbered = block.set_axis(range(block.shape[1]), axis=1).astype(floats)
        block = numbered.set_axis(block.columns, axis=1)
    return without_na(block)


def numbers_dtype(dtype: Any) -> np.dtype[Any] | None:
    """Return a NumPy dtype that holds a column of numbers and its missing values.

    None for a column that does not hold numbers. Dates are not numbers.
    """
    found = numeric_dtype(dtype)
    if found.kind not in "biufc":
        return None
    if isinstance(dtype, np.dtype) or found.kind in "fc":
        return found
    return np.dtype(np.float64)  # pandas' own integers and booleans can be missing


class FrameValues:
    """Row function: returns the values of a frame, as numbers if all columns are numbers."""

    __name__ = "values"  # names the tasks

    def __init__(self, frame: Any) -> None:
        self.extension = {
            name: numbers_dtype(dtype)
            for name, dtype in frame.dtypes.items()
            if not isinstance(dtype, np.dtype) and numbers_dtype(dtype) is not None
        }
        self.like: NDArray[Any] = self._values(frame._meta)

    def __call__(self, block: pd.DataFrame) -> NDArray[Any]:
        try:
            return self._values(block).astype(self.like.dtype, copy=False)
        except (TypeError, ValueError) as error:
            raise BadBlock(
                f"a partition of X does not match the dtypes of its meta: its columns are "
                f"{dict(block.dtypes.astype(str))}: {error}"
            ) from error

    def _values(self, block: pd.DataFrame) -> NDArray[Any]:
        values: NDArray[Any] = without_na(block.astype(self.extension)).to_numpy()
        return values


def known_dtype(dtype: Any) -> Any:
    """Return the dtype that scikit-learn gets for a column and its missing values."""
    if isinstance(dtype, np.dtype):
        return dtype
    if numbers_dtype(dtype) is not None:
        return np.dtype(np.float64)
    if isinstance(dtype, pd.ArrowDtype):
        dtype = _known(pd.Series([], dtype=dtype)).dtype
    return dtype if isinstance(dtype, np.dtype) else np.dtype(object)


def _known(column: pd.Series) -> pd.Series:
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        return column.astype("str") if dtype.na_value is pd.NA else column
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(column, dtype.pyarrow_dtype)
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        values = column.to_numpy()
        known = _objects_without_na(values)
        return column if known is values else pd.Series(known, index=column.index, dtype=object)
    return column


def _of_arrow(column: pd.Series, kind: Any) -> pd.Series:
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return column  # scikit-learn converts them to floats with NaN
    if types.is_dictionary(kind):
        return _of_arrow(column.astype(pd.ArrowDtype(kind.value_type)), kind.value_type)
    known: Any = None
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        known = "str"
    elif types.is_decimal(kind):
        known = np.float64
    elif types.is_timestamp(kind):
        zoned = kind.tz is not None
        known = pd.DatetimeTZDtype(kind.unit, kind.tz) if zoned else f"datetime64[{kind.unit}]"
    elif types.is_duration(kind):
        known = f"timedelta64[{kind.unit}]"
    if known is not None:
        return column.astype(known)
    values = column.to_numpy(dtype=object, na_value=np.nan)
    return pd.Series(values, index=column.index, dtype=object)


def _objects_without_na(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "O":
        return values
    missing = np.flatnonzero(pd.isna(values))
    flat = values.ravel()
    places = [place for place in missing if flat[place] is pd.NA]
    if not places:
        return values
    flat = flat.copy()
    flat[places] = np.nan
    return flat.reshape(values.shape)
