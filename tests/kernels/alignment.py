"""Copies of arrays at odd addresses."""

from __future__ import annotations

import numpy as np


def misaligned(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy of an array, `offset` bytes behind a multiple of 64."""
    buffer = np.empty(array.nbytes + 128, dtype=np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert copy.ctypes.data % 64 == offset
    return copy
