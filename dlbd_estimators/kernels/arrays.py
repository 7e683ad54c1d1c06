"""Names for the arrays that pass between kernels, and the order of derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: A float32 or float64 array; each docstring states which if it matters.
FloatArray: TypeAlias = NDArray[np.floating[Any]]


#: For each array of a data class, the names of its axes' lengths; the same name, the same length.
Shapes: TypeAlias = Mapping[str, tuple[str, ...]]


class Order(IntEnum):
    """The derivatives that a pass returns; each member includes the lower derivatives."""

    VALUE = 0
    GRADIENT = 1
    HESSIAN = 2
