"""Sparse matrices in memory: made dense if that fits, otherwise refused before."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from dlbd_estimators.base.feature_names import keep_origin, needs_no_names
from dlbd_estimators.engine.memory import process_memory
from dlbd_estimators.exceptions import DenseTooLarge

#: Share of the memory available that rows made dense may take.
_SHARE = 0.5
#: So many bytes are never refused: a fit takes as much beside its data, and where a container is
#: full a few rows can still be predicted.
_NEVER_REFUSED = 2**24
#: Blocks that the error proposes, in bytes.
_BLOCK = 2**25


def features_in_memory(
    estimator: Any, X: Any, *, reset: bool, ensure_all_finite: bool = True
) -> NDArray[Any]:
    """Check features in memory and return them as an array of floats, in rows of C order if sparse.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and, where columns have names, ``feature_names_in_`` are set or
        compared.
    X : array-like or scipy.sparse matrix or array of any format
        What the user passed.
    reset : bool
        Set the attributes; False compares.
    ensure_all_finite : bool, default=True
        Refuse NaN and infinities.

    Raises
    ------
    DenseTooLarge
        X is sparse, and dense would be too large; raised before memory is asked for.
    TypeError, ValueError
        X is not numeric, empty, has the wrong dimensions or another number of columns.
    """
    wanted: dict[str, Any] = {
        # All other formats become the first of these.
        "accept_sparse": ["csr", "csc", "coo"],
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": ensure_all_finite,
    }
    if reset:
        keep_origin(estimator, None)
    plain = isinstance(X, np.ndarray) or scipy.sparse.issparse(X)
    if plain and not reset and needs_no_names(estimator, X):
        checked = check_array(X, **wanted, estimator=estimator, input_name="X")
    else:
        checked = validate_data(estimator, X, **wanted, reset=reset)
    if not scipy.sparse.issparse(checked):
        return np.asarray(checked)
    _check_room(checked)
    return np.asarray(checked.toarray(order="C"))


def _check_room(X: Any) -> None:
    n_rows, n_features = X.shape
    size = n_rows * n_features * X.dtype.itemsize
    if size <= _NEVER_REFUSED:
        return
    available = process_memory().available
    if size > _SHARE * available:
        rows = max(1, _BLOCK // (n_features * X.dtype.itemsize))
        raise DenseTooLarge(
            f"X is sparse, of shape ({n_rows}, {n_features}), and its rows have to be made dense: "
            f"that is {_mebibytes(size)} MiB, of {_mebibytes(available)} MiB of memory available, "
            f"of which dense rows may take {_SHARE:.0%}. Make fewer columns: OneHotEncoder("
            f"max_categories=...) or (min_frequency=...), OrdinalEncoder, or a selection of "
            f"features. Or pass the rows, and y, as Dask arrays, which are made dense block by "
            f"block: dask.array.from_array(X.tocsr(), chunks=({rows}, -1), asarray=False)"
            f".map_blocks(lambda rows: rows.toarray(), dtype={X.dtype.name!r})."
        )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f}"
