"""Names of features: the column names of a frame, or ``feature_names`` of a Dask array.

The attribute ``feature_names`` of a Dask array is a sequence of str, one per column; arrays that
``storage`` opens have it. scikit-learn itself reads names only from frames.

Most operations on an array lose its names; a frame keeps them. So a model that was fitted to an
array with names accepts arrays without names, and does not warn. Other names raise an error, as
for frames.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from dlbd_estimators.blocks.sources import is_frame


def check_columns(estimator: Any, X: Any, *, reset: bool = False) -> None:
    """Compare the columns of X, in memory or lazy, with the attributes of the fit, or set these.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and, where columns have names, ``feature_names_in_`` are set or
        compared.
    X : array-like, dask.array.Array or Dask data frame
        Features. Their values are not read.
    reset : bool
        Whether to set the attributes; False compares X with them.

    Raises
    ------
    ValueError
        The number or the names of the columns are not those of the fit.
    """
    like = X._meta if is_frame(X) else X
    declared = names_of_array(X)
    if reset:
        keep_origin(estimator, declared)
    if declared is not None and (reset or hasattr(estimator, "feature_names_in_")):
        # scikit-learn then compares the names as it does for a frame, and raises its errors.
        like = pd.DataFrame(columns=np.array(declared, dtype=object))
    elif isinstance(X, da.Array) and not reset and needs_no_names(estimator, X):
        like = pd.DataFrame(columns=estimator.feature_names_in_)
    validate_data(estimator, like, reset=reset, skip_check_array=True)


def names_of_array(X: Any) -> list[str] | None:
    """Return the attribute ``feature_names`` of a Dask array; None if it is missing or invalid."""
    if not isinstance(X, da.Array):
        return None
    names = list(getattr(X, "feature_names", None) or ())
    declared = len(names) == X.shape[1] and all(isinstance(name, str) for name in names)
    return names if declared else None


def keep_origin(estimator: Any, declared: list[str] | None) -> None:
    """Store the names of the array passed to ``fit``; None if X was no array with names."""
    if declared is None:
        vars(estimator).pop("_names_of_array", None)
    else:
        estimator._names_of_array = declared


def needs_no_names(estimator: Any, X: Any) -> bool:
    """Return whether X, an array without names, is accepted as the columns of the fit."""
    names = list(getattr(estimator, "feature_names_in_", ()))
    return names == getattr(estimator, "_names_of_array", None) and X.shape[1:] == (len(names),)


def named_as_in_fit(estimator: Any, X: Any) -> Any:
    """Return an array in memory as a frame of the same values, with the column names of the fit.

    This applies where :func:`needs_no_names` is true; any other X is returned unchanged. For an
    array, scikit-learn's own transformers would warn of missing names.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and needs_no_names(estimator, X):
        return pd.DataFrame(X, columns=estimator.feature_names_in_, copy=False)
    return X
