"""Find integers that float64 would round: they are refused, not silently changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["loses_digits"]

# float64 holds every integer up to here.
_LARGEST = 2**53


def loses_digits(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> tuple[int, ...] | None:
    """Position of the first integer that becomes another number as a float64; None if none does.

    Only float64 is checked. Users who ask for float32 accept fewer digits; and without a wish, the
    common dtype that NumPy chooses for integers and floats holds all digits.
    """
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or dtype != np.float64:
        return None
    if not values.size or (int(values.max()) <= _LARGEST and int(values.min()) >= -_LARGEST):
        return None
    rounded = values.astype(np.float64)
    # The largest integers round up to a number that no integer of this dtype is.
    fits = rounded < float(np.iinfo(values.dtype).max)
    lost = ~fits | (np.where(fits, rounded, 0).astype(values.dtype) != values)
    if not lost.any():
        return None
    return tuple(int(index) for index in np.argwhere(lost)[0])
