"""A checksum of each block, to check whether rows are the same as at another time."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles

#: One checksum per block, in the order of the blocks.
Checksums = tuple[int, ...]


class RowChecksumKernel(Kernel[Checksums]):
    """CRC-32 of the features, targets, weights and parts of a block.

    It depends on the values, their dtypes and shapes, but not on the memory layout. Labels may have
    any dtype.
    """

    def __call__(self, block: Block, parameters: Any = None) -> Checksums:
        crc = _with_dtype_and_shape(0, block.X)
        for rows in tiles(block.n_rows, tile_rows(block.X.shape[1])):
            crc = _with_values(crc, block.X[rows])  # by tiles, so that X is not copied whole
        crc = _with_array(crc, block.y)
        if block.weight is not None:
            crc = _with_array(crc, block.weight)
        for part in getattr(block, "parts", ()):  # folds of a cross-validation
            if isinstance(part, slice):
                part = np.arange(*part.indices(block.n_rows))
            crc = _with_array(crc, part)
        return (crc,)

    def combine(self, left: Checksums, right: Checksums) -> Checksums:
        return left + right

    def is_finite(self, partial: Checksums) -> bool:
        return True


def checksum(array: NDArray[Any]) -> int:
    """Return the CRC-32 of an array of any dtype, which covers its dtype and shape too."""
    return _with_array(0, array)


def _with_array(crc: int, array: NDArray[Any]) -> int:
    """Continue a CRC-32 with an array: its dtype, its shape and its values."""
    return _with_values(_with_dtype_and_shape(crc, array), array)


def _with_dtype_and_shape(crc: int, array: NDArray[Any]) -> int:
    return crc32(f"{array.dtype}{array.shape}".encode(), crc)


def _with_values(crc: int, array: NDArray[Any]) -> int:
    if array.dtype.hasobject:
        return crc32(repr(array.tolist()).encode(), crc)
    return crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
