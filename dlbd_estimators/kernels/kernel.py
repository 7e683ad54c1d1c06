"""What every kernel is: one block and parameters in, one partial out.

A kernel walks its block in tiles, runs of rows small enough to stay in the
processor's cache while several operations use them, and never makes a temporary
larger than a tile. Partials are joined by the kernel's own ``combine``; whoever
joins them does so in a fixed binary tree over the block index, so the last bit
of the result depends on the blocks alone.
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

from dlbd_estimators.kernels.arrays import FloatArray

Partial = TypeVar("Partial")
AnyBlock_contra = TypeVar("AnyBlock_contra", contravariant=True)

#: A tile this large stays in a core's own cache beside the temporaries made of it.
_TILE_NBYTES = 2**20
#: Wide rows may use a larger tile, or too little work is done between two reductions.
_TILE_NBYTES_MAX = 2**22


@dataclass(frozen=True)
class Block:
    """Aligned rows of features, targets and weights, ready for a kernel.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        float32 or float64, any memory layout.
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
        """Targets with one column an output, also where there are no rows."""
        return self.y if self.y.ndim == 2 else self.y[:, None]

    @property
    def nbytes(self) -> int:
        """Memory held by the three arrays."""
        weight = 0 if self.weight is None else self.weight.nbytes
        return self.X.nbytes + self.y.nbytes + weight


class PassKernel(ABC, Generic[AnyBlock_contra, Partial]):
    """A picklable function of one block, of some kind, and parameters that returns a partial."""

    @abstractmethod
    def __call__(self, block: AnyBlock_contra, parameters: Any) -> Partial:
        """Evaluate one block."""

    def of_block(self, number: int) -> Self:
        """Return the kernel for a block by its number, which matters only to what draws rows."""
        return self

    @abstractmethod
    def combine(self, left: Partial, right: Partial) -> Partial:
        """Join the partials of two neighbouring ranges of blocks. May reuse ``left``."""

    @abstractmethod
    def is_finite(self, partial: Partial) -> bool:
        """Tell whether a block's partial holds finite numbers only."""


class Kernel(PassKernel[Block, Partial]):
    """A kernel of the rows of a fit, which returns sums over them."""


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_scratch = _Scratch()


def scratch(name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Return this thread's buffer of that name, uninitialised, to be used until the next call.

    Fresh memory costs a page fault every 4 KiB, which for tiles is a tenth of the work.
    """
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = _scratch.buffers.get(name)
    if buffer is None or buffer.size < nbytes:
        buffer = _scratch.buffers[name] = np.empty(nbytes, dtype=np.uint8)
    tile: NDArray[Any] = buffer[:nbytes].view(dtype).reshape(shape)
    return tile


def tile_rows(n_columns: int, *, products: bool = True) -> int:
    """Rows of a float64 tile: about 1 MiB, more for wide rows, at most 4 MiB.

    Four rows a column keep the cost of adding a tile's (n_columns, n_columns)
    product to its sum well below the cost of the product. Where no products are formed,
    little is done between two calls of NumPy, and threads that hand the interpreter's lock to
    each other after each call lose more than a smaller tile gains: then it is 4 MiB.
    """
    row = 8 * max(n_columns, 1)
    smallest = _TILE_NBYTES if products else _TILE_NBYTES_MAX
    rows = max(smallest // row, min(4 * n_columns, _TILE_NBYTES_MAX // row))
    return int(np.clip(rows, 8, 8192))


def tiles(n_rows: int, size: int) -> Iterator[slice]:
    """Cut ``n_rows`` rows into runs of ``size``, the last one shorter."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
