"""Find integers that float64 would round, so that callers can refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["loses_digits"]

# float64 holds every integer up to here.
_LARGEST = 2**53


def loses_digits(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> tuple[int, ...] | None:
    """Return the position of the first integer that float64 would change; None if there is none.

    Only conversion to float64 is checked. Users who ask for float32 accept fewer digits. Without
    such a request, any other common dtype that NumPy chooses for integers and floats holds all
    digits.
    """
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or dtype != np.float64:
        return None
    if not values.size or (int(values.max()) <= _LARGEST and int(values.min()) >= -_LARGEST):
        return None
    rounded = values.astype(np.float64)
    # The largest integers round up to a float beyond the range of their own dtype.
    fits = rounded < float(np.iinfo(values.dtype).max)
    lost = ~fits | (np.where(fits, rounded, 0).astype(values.dtype) != values)
    if not lost.any():
        return None
    return tuple(int(index) for index in np.argwhere(lost)[0])
