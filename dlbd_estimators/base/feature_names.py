"""Names of features: those of a frame's columns, or that a Dask array tells of its own.

A Dask array may have an attribute ``feature_names``, a sequence of str, one a column; the arrays
that ``storage`` opens have it. scikit-learn knows of frames alone.

An array loses its names in most operations, a frame never. So a model that was fitted to an
array with names takes arrays without any, and says nothing; other names are an error as they
are for frames.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from dlbd_estimators.blocks.sources import is_frame


def check_columns(estimator: Any, X: Any, *, reset: bool = False) -> None:
    """Hold the columns of X, in memory or lazy, against those of the fit, or set these.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and, where columns have names, ``feature_names_in_`` are set or
        compared.
    X : array-like, dask.array.Array or Dask data frame
        Features. No value is looked at.
    reset : bool
        Set the attributes; False compares.

    Raises
    ------
    ValueError
        Their number or their names are not those of the fit.
    """
    like = X._meta if is_frame(X) else X
    told = names_of_array(X)
    if reset:
        keep_origin(estimator, told)
    if told is not None and (reset or hasattr(estimator, "feature_names_in_")):
        # scikit-learn compares, and says, what it does for a frame.
        like = pd.DataFrame(columns=np.array(told, dtype=object))
    elif isinstance(X, da.Array) and not reset and needs_no_names(estimator, X):
        like = pd.DataFrame(columns=estimator.feature_names_in_)
    validate_data(estimator, like, reset=reset, skip_check_array=True)


def names_of_array(X: Any) -> list[str] | None:
    """Return the names that a Dask array tells of its columns; None if it tells none."""
    if not isinstance(X, da.Array):
        return None
    names = list(getattr(X, "feature_names", None) or ())
    told = len(names) == X.shape[1] and all(isinstance(each, str) for each in names)
    return names if told else None


def keep_origin(estimator: Any, told: list[str] | None) -> None:
    """Note the names that an array told in ``fit``; None where it was no array, or told none."""
    if told is None:
        vars(estimator).pop("_names_of_array", None)
    else:
        estimator._names_of_array = told


def needs_no_names(estimator: Any, X: Any) -> bool:
    """Tell whether an array without names, of as many columns, is taken as those of the fit."""
    names = list(getattr(estimator, "feature_names_in_", ()))
    return names == getattr(estimator, "_names_of_array", None) and X.shape[1:] == (len(names),)


def named_as_in_fit(estimator: Any, X: Any) -> Any:
    """Return an array in memory as a frame of the same values, with the names that the fit saw.

    That is where :func:`needs_no_names` holds; all else is returned as it is. scikit-learn's own
    transformers would warn of missing names.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and needs_no_names(estimator, X):
        return pd.DataFrame(X, columns=estimator.feature_names_in_, copy=False)
    return X
