"""A checksum of each block: whether rows are the same ones as at another time."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles

#: One a block, in their order.
Checksums = tuple[int, ...]


class RowChecksumKernel(Kernel[Checksums]):
    """CRC-32 of the features, targets, weights and parts of a block.

    It depends on the numbers and their dtypes, and not on how they lie in memory. Labels may be
    stored as anything.
    """

    def __call__(self, block: Block, parameters: Any = None) -> Checksums:
        found = _with_dtype_and_shape(0, block.X)
        for rows in tiles(block.n_rows, tile_rows(block.X.shape[1])):
            found = _with_values(found, block.X[rows])  # by tiles, so that X is not copied whole
        found = _with_array(found, block.y)
        if block.weight is not None:
            found = _with_array(found, block.weight)
        for part in getattr(block, "parts", ()):  # of a cross-validation
            if isinstance(part, slice):
                part = np.arange(*part.indices(block.n_rows))
            found = _with_array(found, part)
        return (found,)

    def combine(self, left: Checksums, right: Checksums) -> Checksums:
        return left + right

    def is_finite(self, partial: Checksums) -> bool:
        return True


def checksum(array: NDArray[Any]) -> int:
    """Return the CRC-32 of an array of anything, with its dtype and shape."""
    return _with_array(0, array)


def _with_array(found: int, array: NDArray[Any]) -> int:
    """Continue a CRC-32 with an array: its dtype, its shape and its values."""
    return _with_values(_with_dtype_and_shape(found, array), array)


def _with_dtype_and_shape(found: int, array: NDArray[Any]) -> int:
    return crc32(f"{array.dtype}{array.shape}".encode(), found)


def _with_values(found: int, array: NDArray[Any]) -> int:
    if array.dtype.hasobject:
        return crc32(repr(array.tolist()).encode(), found)
    return crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, found)
