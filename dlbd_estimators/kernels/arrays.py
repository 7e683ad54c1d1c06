"""Names for the arrays that pass between kernels, and the order of derivatives."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: float32 or float64, as the annotation's reader can tell from its docstring.
FloatArray: TypeAlias = NDArray[np.floating[Any]]


class Order(IntEnum):
    """How many derivatives a pass returns; each includes those before it."""

    VALUE = 0
    GRADIENT = 1
    HESSIAN = 2
