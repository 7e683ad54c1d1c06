"""Sparse rows of a block, which kernels read by tiles: dense, or as the operand of products.

A kernel indexes the features of a block by a run of rows. :class:`SparseRows` answers with a dense
tile, so every kernel accepts sparse rows and no block is made dense as a whole. Kernels that need
nothing but products with a tile take a :class:`SparseTile` instead, whose work is proportional to
the number of stored entries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray

_MAX_INT32 = np.iinfo(np.int32).max


class SparseRows:
    """The rows of a CSR array, as the features of a block.

    Indexing by rows returns a dense array of these rows; ``rows[:, columns]`` and :meth:`chosen`
    return sparse rows.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        float32 or float64, sorted and without duplicates.
    """

    #: No memory of a larger array is kept, which the cache asks of NumPy arrays.
    base = None
    ndim = 2

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        n_rows, n_features = self.matrix.shape
        return int(n_rows), int(n_features)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the values."""
        found: np.dtype[Any] = self.matrix.dtype
        return found

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Memory held by the stored entries and the positions of the rows."""
        parts = (self.matrix.data, self.matrix.indices, self.matrix.indptr)
        return sum(int(part.nbytes) for part in parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            columns = self.matrix[index]
            columns.sort_indices()
            return SparseRows(columns)
        if isinstance(index, slice):
            return self._run(index).toarray()
        return self.matrix[np.asarray(index)].toarray()

    def chosen(self, rows: slice | NDArray[np.intp]) -> SparseRows:
        """Return some of the rows, still sparse."""
        return SparseRows(self._run(rows) if isinstance(rows, slice) else self.matrix[rows])

    def _run(self, rows: slice) -> Any:
        """Return consecutive rows as a CSR array, without copying their entries."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self.matrix[rows]
        stop = max(start, stop)
        ends = self.matrix.indptr[start : stop + 1]
        entries = slice(int(ends[0]), int(ends[-1]))
        parts = (self.matrix.data[entries], self.matrix.indices[entries], ends - ends[0])
        return type(self.matrix)(parts, shape=(stop - start, self.shape[1]))


class SparseTile:
    """A run of sparse rows minus a centre, as the operand of matrix products.

    The centre is subtracted from the products, so the rows stay sparse. ``tile @ vector`` and
    ``vectors @ tile`` are float64, as for a dense tile. ``tile[positions]`` is a dense array of
    some rows, and ``tile[start:stop:step]`` a sparse tile of them.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        The rows.
    centre : ndarray of shape (n_features,) or None
        The centre; None means zero.
    """

    #: NumPy then leaves ``array @ tile`` to :meth:`__rmatmul__`.
    __array_ufunc__ = None
    dtype = np.dtype(np.float64)

    def __init__(self, matrix: Any, centre: FloatArray | None) -> None:
        self.matrix = matrix
        self.centre = centre
        self.shape: tuple[int, int] = matrix.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return SparseTile(self.matrix[rows], self.centre)
        dense = self.matrix[rows].toarray().astype(np.float64, copy=False)
        return dense if self.centre is None else dense - self.centre

    def __matmul__(self, right: FloatArray) -> FloatArray:
        found = np.asarray(self.matrix @ right)
        return found if self.centre is None else np.asarray(found - self.centre @ right)

    def __rmatmul__(self, left: FloatArray) -> FloatArray:
        found = np.asarray((self.matrix.T @ left.T).T)
        if self.centre is None:
            return found
        return np.asarray(found - np.multiply.outer(left.sum(axis=-1), self.centre))

    def squared_distances(self, point: FloatArray, scale: FloatArray) -> FloatArray:
        """Return ``sum_j scale_j (x_ij - point_j)^2`` of each row, of shape (n_rows,).

        Parameters
        ----------
        point : ndarray of shape (n_features,)
            A point, relative to the centre.
        scale : ndarray of shape (n_features,)
            Weights of the columns, not below 0.
        """
        if self.centre is not None:
            point = point + self.centre
        indices = self.matrix.indices
        values = self.matrix.data.astype(np.float64)
        at = point[indices]
        # What an entry changes in the distance of a row without entries.
        changes = scale[indices] * values * (values - 2.0 * at)
        row = np.repeat(np.arange(len(self)), np.diff(self.matrix.indptr))
        distances = np.bincount(row, changes, minlength=len(self)) + scale @ (point * point)
        return np.asarray(np.maximum(distances, 0.0))

    def add_moments(
        self, moments: FloatArray, weight: FloatArray | None, shift: FloatArray
    ) -> None:
        """Add the weighted sums of the columns minus a shift, and of their squares.

        An entry contributes its own difference from the shift, and the rows without an entry in a
        column contribute the shift itself. So no digits are lost if a column is far from zero.

        Parameters
        ----------
        moments : ndarray of shape (2, n_features)
            The sums.
        weight : ndarray of shape (n_rows,) or None
            Sample weights.
        shift : ndarray of shape (n_features,)
            Subtracted from the columns as they are stored, without regard to the centre.
        """
        n = self.shape[1]
        indices = self.matrix.indices
        each = np.ones(len(self)) if weight is None else weight
        of_entry = np.repeat(each, np.diff(self.matrix.indptr))
        difference = self.matrix.data.astype(np.float64) - shift[indices]
        absent = each.sum() - np.bincount(indices, of_entry, minlength=n)
        moments[0] += np.bincount(indices, of_entry * difference, minlength=n) - absent * shift
        squares = of_entry * difference * difference
        moments[1] += np.bincount(indices, squares, minlength=n) + absent * shift * shift


def csr_nbytes(n_rows: int, nnz: int, itemsize: int) -> int:
    """Return the memory of a CSR array with `nnz` stored values of `itemsize` bytes each."""
    index = np.dtype(np.int32 if nnz <= _MAX_INT32 else np.int64).itemsize
    return nnz * (itemsize + index) + (n_rows + 1) * index


def is_sparse(X: Any) -> bool:
    """Return whether the features of a block are sparse."""
    return isinstance(X, SparseRows)


def chosen_rows(X: Any, rows: slice | NDArray[np.intp]) -> Any:
    """Return some rows of the features of a block, sparse if the features are."""
    return X.chosen(rows) if isinstance(X, SparseRows) else X[rows]


def operand(X: Any, rows: slice) -> Any:
    """Return a run of rows as an array, or as a CSR array, that is multiplied from the right."""
    return X.chosen(rows).matrix if isinstance(X, SparseRows) else X[rows]


def first_non_finite(X: Any) -> tuple[int, int, float] | None:
    """Return row, column and value of the first entry that is NaN or infinite; else None."""
    if not isinstance(X, SparseRows):
        found = np.argwhere(~np.isfinite(X))
        if not len(found):
            return None
        row, column = (int(i) for i in found[0])
        return row, column, float(X[row, column])
    bad = np.flatnonzero(~np.isfinite(X.matrix.data))
    if not bad.size:
        return None
    entry = int(bad[0])
    row = int(np.searchsorted(X.matrix.indptr, entry, side="right")) - 1
    return row, int(X.matrix.indices[entry]), float(X.matrix.data[entry])
