"""Pack partials for storage on workers and for sending: only one half of symmetric matrices.

A matrix is halved only if both halves have the same bits, so packing and unpacking change no bit.
An unpacked partial shares no memory with the packed one: joining may write to it, and a worker may
have to send the packed one again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Fewest rows of a matrix that is halved: for smaller ones the loop over rows costs too much.
_FEWEST_ROWS = 64
#: Rows and columns of a tile that fits in a core's cache while it is transposed.
_TILE = 128


@dataclass(frozen=True)
class Half:
    """The upper triangles of symmetric matrices, row by row.

    Attributes
    ----------
    shape : tuple of int
        Shape of the whole matrices; the last two lengths are equal.
    upper : ndarray of shape (n_matrices, n_rows * (n_rows + 1) // 2)
        The entries of each row, from the diagonal on.
    """

    shape: tuple[int, ...]
    upper: NDArray[Any]

    @staticmethod
    def of(matrices: NDArray[Any]) -> Half:
        """Halve matrices for which :func:`is_symmetric` is true."""
        n = matrices.shape[-1]
        flat = matrices.reshape(-1, n, n)
        upper = np.empty((len(flat), n * (n + 1) // 2), matrices.dtype)
        for matrix, row in zip(flat, upper, strict=True):
            start = 0
            for i in range(n):
                row[start : start + n - i] = matrix[i, i:]
                start += n - i
        return Half(matrices.shape, upper)

    def full_matrices(self) -> NDArray[Any]:
        """Return the whole matrices, in new memory."""
        n = self.shape[-1]
        flat = np.empty((len(self.upper), n, n), self.upper.dtype)
        below = np.tri(_TILE, k=-1, dtype=bool)
        for matrix, row in zip(flat, self.upper, strict=True):
            start = 0
            for i in range(n):
                matrix[i, i:] = row[start : start + n - i]
                start += n - i
            for i in range(0, n, _TILE):
                rows = slice(i, i + _TILE)
                square = matrix[rows, rows]
                np.copyto(square, square.T.copy(), where=below[: len(square), : len(square)])
                for j in range(i + _TILE, n, _TILE):
                    columns = slice(j, j + _TILE)
                    matrix[columns, rows] = matrix[rows, columns].T
        return flat.reshape(self.shape)


def is_symmetric(array: NDArray[Any]) -> bool:
    """Return whether an array holds large matrices that are symmetric to the last bit.

    The bits are compared, because zeros of different sign compare equal, and NaN does not.
    """
    if (
        array.ndim < 2
        or array.dtype not in (np.float32, np.float64)
        or not array.flags.c_contiguous
    ):
        return False
    n = array.shape[-1]
    if n != array.shape[-2] or n < _FEWEST_ROWS:
        return False
    bits = array.reshape(-1, n, n).view(np.uint32 if array.itemsize == 4 else np.uint64)
    return all(
        np.array_equal(
            bits[:, i : i + _TILE, j : j + _TILE].swapaxes(1, 2),
            bits[:, j : j + _TILE, i : i + _TILE],
        )
        for i in range(0, n, _TILE)
        for j in range(i, n, _TILE)
    )


def pack(partial: Any) -> Any:
    """Return a partial with its symmetric matrices halved; other arrays are shared, not copied."""

    def halved(leaf: Any) -> Any:
        return Half.of(leaf) if isinstance(leaf, np.ndarray) and is_symmetric(leaf) else leaf

    return _mapped(partial, halved)


def unpack(packed: Any) -> Any:
    """Return the partial that was packed, with the same bits, in new memory."""

    def restored(leaf: Any) -> Any:
        return leaf.full_matrices() if isinstance(leaf, Half) else copy.deepcopy(leaf)

    return _mapped(packed, restored)


def nbytes(partial: Any) -> int:
    """Return the size in bytes of the arrays of a partial, packed or not."""
    sizes: list[int] = []

    def measured(leaf: Any) -> Any:
        array = leaf.upper if isinstance(leaf, Half) else leaf
        sizes.append(getattr(array, "nbytes", 0))
        return leaf

    _mapped(partial, measured)
    return sum(sizes)


def _mapped(partial: Any, of_leaf: Callable[[Any], Any]) -> Any:
    """Apply a function to the leaves of a partial, inside data classes, tuples, lists and dicts."""

    def mapped(part: Any) -> Any:
        return _mapped(part, of_leaf)

    match partial:
        case Half():
            return of_leaf(partial)
        case list() | tuple():
            parts = map(mapped, partial)
            make = getattr(partial, "_make", type(partial))  # named tuples have `_make`
            return make(parts)
        case dict():
            return {key: mapped(part) for key, part in partial.items()}
    if not is_dataclass(partial) or isinstance(partial, type):
        return of_leaf(partial)
    changed = copy.copy(partial)
    for field in fields(partial):
        # `dataclasses.replace` needs fields that are arguments; `object` also sets frozen ones.
        object.__setattr__(changed, field.name, mapped(getattr(partial, field.name)))
    return changed
