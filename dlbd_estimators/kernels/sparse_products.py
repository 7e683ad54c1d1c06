"""Weighted cross products of sparse rows, without a dense tile.

The product of two sparse matrices takes time in proportion to the pairs of entries of a row. Up to
a density of about 5 percent this is less than the product of dense tiles takes.

Columns far from zero lose their spread to rounding if products are formed before a centre is
subtracted. In a sparse column this only happens if every row has an entry: otherwise the rows
without an entry are zeros, far from the others, and are part of the spread. So a value is
subtracted from the entries of full columns, and rows stay sparse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.sparse_rows import SparseRows

#: Density from which dense tiles are faster. Both were measured with 300 to 3,000 columns.
_DENSE_FROM = 0.05
#: Number of columns whose products with all others are formed at a time.
_BAND = 512


def has_few_entries(X: Any) -> bool:
    """Return whether the features of a block are sparse, with so few entries that it pays."""
    if not isinstance(X, SparseRows):
        return False
    n_rows, n_features = X.shape
    return bool(X.matrix.nnz < _DENSE_FROM * n_rows * n_features)


def centre_of_full_columns(matrix: Any) -> FloatArray:
    """Return a value near those of each column in which every row has an entry, and else zero.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        The rows of a block, without duplicates.
    """
    n_rows, n_features = matrix.shape
    centre = np.zeros(n_features)
    if n_rows:
        counts = np.bincount(matrix.indices, minlength=n_features)
        first = slice(0, int(matrix.indptr[1]))
        columns, values = matrix.indices[first], matrix.data[first].astype(np.float64)
        used = (counts[columns] == n_rows) & np.isfinite(values)
        centre[columns[used]] = values[used]
    return centre


def minus_centre(matrix: Any, centre: FloatArray) -> Any:
    """Return rows in float64, with the centre of each column subtracted from its entries."""
    values = matrix.data.astype(np.float64)
    values -= centre[matrix.indices]
    return type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def add_cross_products(products: FloatArray, rows: Any, weight: FloatArray) -> None:
    """Add ``sum_i weight_i x_i x_i^T`` to a dense array; what is added is exactly symmetric.

    Parameters
    ----------
    products : ndarray of shape (n_features, n_features)
        The sum.
    rows : csr_array of shape (n_rows, n_features)
        The rows x_i, in float64.
    weight : ndarray of shape (n_rows,)
        Weights of any sign.
    """
    # Two products of the same two numbers are equal; (w x_i) x_j and (w x_j) x_i may not be.
    root = np.sqrt(np.abs(weight))
    right = scaled_rows(rows, root)
    left = right if np.all(weight >= 0.0) else scaled_rows(rows, np.copysign(root, weight))
    columns = left.T.tocsr()
    # In bands, so that the sparse product takes little memory beside the sum.
    for start in range(0, rows.shape[1], _BAND):
        band = slice(start, start + _BAND)
        products[band] += (columns[band] @ right).toarray()


def scaled_rows(rows: Any, factor: FloatArray) -> Any:
    """Return rows multiplied by a factor each, as a CSR array."""
    values = rows.data * np.repeat(factor, np.diff(rows.indptr))
    return type(rows)((values, rows.indices, rows.indptr), shape=rows.shape)
