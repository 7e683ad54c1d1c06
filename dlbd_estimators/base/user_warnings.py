"""Warnings that point to the user's line of code."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning

#: Packages that may call this package between the user's line and the warning: a pipeline or a
#: search that fits, a pickle that is loaded.
_BETWEEN = frozenset(
    ("cloudpickle", "copy", "distributed", "dlbd_estimators", "joblib", "pickle", "sklearn")
)


def warn_user(message: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn, and point to the user's line, whatever calls lie in between.

    Parameters
    ----------
    message : str or Warning
        The warning, or its text.
    category : type, optional
        Class of the warning, if ``message`` is a text.
    """
    # warnings.warn has skip_file_prefixes for this, but only since Python 3.12.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_of_column_vector(y: Any) -> None:
    """Warn if targets in memory are an array of one column, as scikit-learn does."""
    shape = np.asarray(y).shape  # y need not be an array, but can be made one
    if len(shape) == 2 and shape[1] == 1:
        warn_user(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples, ), for example using ravel().",
            DataConversionWarning,
        )


def _package(module: dict[str, object]) -> str:
    return str(module.get("__name__")).partition(".")[0]
