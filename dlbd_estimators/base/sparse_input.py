"""Convert sparse matrices in memory to dense arrays, or raise an error if these would not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from dlbd_estimators.base.feature_names import keep_origin, needs_no_names
from dlbd_estimators.base.plain_arrays import is_plain
from dlbd_estimators.engine.memory import process_memory
from dlbd_estimators.exceptions import DenseTooLarge

#: The dtypes of features; scikit-learn converts others to the first.
_FLOATS = [np.float64, np.float32]
#: Fraction of the available memory that the dense array may take.
_SHARE = 0.5
#: Dense arrays of up to this many bytes are always allowed: a fit needs as much memory besides its
#: data, and a few rows can then be predicted even if the memory of a container is full.
_NEVER_REFUSED = 2**24
#: Size in bytes of the blocks that the error message suggests.
_BLOCK = 2**25


def features_in_memory(
    estimator: Any, X: Any, *, reset: bool, ensure_all_finite: bool = True
) -> NDArray[Any]:
    """Check features in memory and return them as an array of floats (C-ordered if X is sparse).

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and, where columns have names, ``feature_names_in_`` are set or
        compared.
    X : array-like or scipy.sparse matrix or array of any format
        The argument that the user passed.
    reset : bool
        Whether to set the attributes; False compares X with them.
    ensure_all_finite : bool, default=True
        Whether to refuse NaN and infinities.

    Raises
    ------
    DenseTooLarge
        X is sparse, and would be too large as a dense array. Raised before memory is allocated.
    TypeError, ValueError
        X is not numeric, empty, has the wrong dimensions or another number of columns.
    """
    if reset:
        keep_origin(estimator, None)
    if reset and not ensure_all_finite and is_plain(X, n_axes=2, kinds="f") and X.dtype in _FLOATS:
        vars(estimator).pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
        return np.asarray(X)
    wanted: dict[str, Any] = {
        # scikit-learn converts other formats to the first of these.
        "accept_sparse": ["csr", "csc", "coo"],
        "dtype": _FLOATS,
        "ensure_all_finite": ensure_all_finite,
    }
    plain = isinstance(X, np.ndarray) or scipy.sparse.issparse(X)
    if plain and not reset and needs_no_names(estimator, X):
        checked = check_array(X, **wanted, estimator=estimator, input_name="X")
    else:
        checked = validate_data(estimator, X, **wanted, reset=reset)
    if not scipy.sparse.issparse(checked):
        return np.asarray(checked)
    _check_room(checked, sparse_blocks=getattr(estimator, "_sparse_blocks", False))
    return np.asarray(checked.toarray(order="C"))


def _check_room(X: Any, *, sparse_blocks: bool) -> None:
    n_rows, n_features = X.shape
    size = n_rows * n_features * X.dtype.itemsize
    if size <= _NEVER_REFUSED:
        return
    available = process_memory().available
    if size > _SHARE * available:
        row_nbytes = n_features * X.dtype.itemsize
        if sparse_blocks:  # an entry also takes its column number
            row_nbytes = max(1, X.nnz * (X.dtype.itemsize + 4) // n_rows)
        rows = min(n_rows, max(1, _BLOCK // row_nbytes))
        lazy = f"dask.array.from_array(X.tocsr(), chunks=({rows}, -1), asarray=False)"
        if not sparse_blocks:
            lazy += f".map_blocks(lambda rows: rows.toarray(), dtype={X.dtype.name!r})"
        raise DenseTooLarge(
            f"X is sparse, of shape ({n_rows}, {n_features}), and has to be made dense. The dense "
            f"array would take {_mebibytes(size)} MiB, but of the {_mebibytes(available)} MiB of "
            f"memory available it may take only {_SHARE:.0%}. Make fewer columns: OneHotEncoder("
            f"max_categories=...) or (min_frequency=...), OrdinalEncoder, or a selection of "
            f"features. Or pass the rows, and y, as Dask arrays, which are "
            f"{'read' if sparse_blocks else 'made dense'} block by block: {lazy}."
        )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f}"
