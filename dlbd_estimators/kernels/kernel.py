"""Base classes of kernels: functions of one block and parameters that return a partial result.

A kernel processes its block in tiles: consecutive rows, few enough to stay in the
processor's cache while several operations use them. No temporary array is larger
than a tile. Partial results (*partials*) are joined by the kernel's ``combine``, in a
fixed binary tree over the block index, so that the result depends only on the blocks,
to the last bit.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, aligned_bytes

Partial = TypeVar("Partial")
AnyBlock_contra = TypeVar("AnyBlock_contra", contravariant=True)

#: A tile of this size fits a core's own cache together with its temporary arrays.
_TILE_NBYTES = 2**20
#: Limit for wide rows, whose tiles are larger: a small one has too little work per reduction.
_TILE_NBYTES_MAX = 2**22


@dataclass(frozen=True)
class Block:
    """Aligned rows of features, targets and weights, ready for a kernel.

    Attributes
    ----------
    X : ndarray or SparseRows of shape (n_rows, n_features)
        float32 or float64, any memory layout. Indexed by a run of rows, sparse rows give a dense
        tile: see :mod:`dlbd_estimators.kernels.sparse_rows`.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Encoded targets, float64.
    weight : ndarray of shape (n_rows,) or None
        Sample weights, float64; None is one for every row.
    """

    X: FloatArray
    y: FloatArray
    weight: FloatArray | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    def targets(self) -> FloatArray:
        """Targets as a 2-D array with one column per output, also if there are no rows."""
        return self.y if self.y.ndim == 2 else self.y[:, None]

    @property
    def nbytes(self) -> int:
        """Memory held by the three arrays."""
        weight = 0 if self.weight is None else self.weight.nbytes
        return self.X.nbytes + self.y.nbytes + weight


class PassKernel(ABC, Generic[AnyBlock_contra, Partial]):
    """A picklable function of one block (of any type) and parameters that returns a partial."""

    @abstractmethod
    def __call__(self, block: AnyBlock_contra, parameters: Any) -> Partial:
        """Evaluate one block."""

    def of_block(self, number: int) -> Self:
        """Return the kernel for the block of a given number.

        Only kernels that draw random rows differ between blocks.
        """
        return self

    @abstractmethod
    def combine(self, left: Partial, right: Partial) -> Partial:
        """Join the partials of two neighbouring ranges of blocks. May reuse ``left``."""

    @abstractmethod
    def is_finite(self, partial: Partial) -> bool:
        """Return whether a block's partial holds only finite numbers."""


class Kernel(PassKernel[Block, Partial]):
    """A kernel on a :class:`Block` of rows, which returns sums over the rows."""


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_scratch = _Scratch()


def scratch(name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Return this thread's uninitialised buffer ``name``, valid until the next call with the name.

    New memory costs a page fault every 4 KiB, which would take a tenth of the time of a tile.
    """
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = _scratch.buffers.get(name)
    if buffer is None or buffer.size < nbytes:
        buffer = _scratch.buffers[name] = aligned_bytes(nbytes)
    return np.ndarray(shape, dtype, buffer)


def tile_rows(n_columns: int, *, products: bool = True) -> int:
    """Return the number of rows of a float64 tile: about 1 MiB, for wide rows up to 4 MiB.

    With four rows per column, adding a tile's (n_columns, n_columns) product to the sum
    costs much less than the product. If ``products`` is False, there is little work between two
    calls of NumPy, and threads that pass the interpreter lock to each other after each call lose
    more than a smaller tile gains: the tile then has 4 MiB.
    """
    row = 8 * max(n_columns, 1)
    smallest = _TILE_NBYTES if products else _TILE_NBYTES_MAX
    rows = max(smallest // row, min(4 * n_columns, _TILE_NBYTES_MAX // row))
    return min(max(rows, 8), 8192)


def tiles(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices that cut ``n_rows`` rows into runs of ``size``; the last may be shorter."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
