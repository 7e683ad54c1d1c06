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


#: Bytes of a line of a processor's cache.
_LINE = 64


def aligned_bytes(nbytes: int) -> NDArray[np.uint8]:
    """Return uninitialised memory that begins with a line of the processor's cache.

    A large array of NumPy begins 16 bytes after the beginning of a page. Into such memory, some
    processors (AMD's Zen 3) take up to nine times as long to copy a file from the page cache.
    """
    memory = np.empty(nbytes + _LINE, dtype=np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + nbytes]


class Order(IntEnum):
    """The derivatives that a pass returns; each member includes the lower derivatives."""

    VALUE = 0
    GRADIENT = 1
    HESSIAN = 2
