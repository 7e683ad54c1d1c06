"""Let scikit-learn determine which columns belong to which step, without reading the data.

scikit-learn's ColumnTransformer is fitted to a table of one row that holds each column's
position, with placeholder steps that read the positions from the columns they receive. So columns
are selected by name, position, slice, mask or callable exactly as scikit-learn does it, with its
errors, and the fitted state is scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

#: Called with a step's name, its transformer, the positions of its columns, and the row of
#: positions. Returns the fitted transformer and its lazy output.
Work = Callable[[str, Any, list[int], Any], tuple[Any, Any]]


class Step(BaseEstimator):
    """Placeholder for a transformer while scikit-learn selects the columns."""

    def __init__(self, name: str, transformer: Any, work: Work) -> None:
        self.name = name
        self.transformer = transformer
        self.work = work

    def __sklearn_clone__(self) -> Step:
        return self  # no copy, because its attributes are read afterwards

    def set_output(self, *, transform: Any = None) -> Step:
        return self  # ColumnTransformer.set_output calls it on every step

    def fit(self, X: Any, y: Any = None) -> Step:
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        if X.ndim == 1:
            # scikit-learn replaces an error with this text by advice on how to select one column.
            raise ValueError("Expected 2D array, got 1D array instead")
        positions = [int(item) for item in np.asarray(X)[0]]
        self.fitted_, self.output_ = self.work(self.name, self.transformer, positions, X)
        return np.zeros((1, self.output_.shape[1]))

    def transform(self, X: Any) -> NDArray[np.float64]:
        return self.fit_transform(X)


def is_entry(item: Any) -> bool:
    """Return whether an object is an entry: a name, a transformer and columns."""
    return isinstance(item, tuple | list) and len(item) == 3


def placeholder(entry: Any, work: Work, X: Any) -> Any:
    """Return an entry with a placeholder instead of its transformer.

    An invalid entry is returned unchanged: scikit-learn then raises the error.
    """
    if not is_entry(entry):
        return entry
    name, transformer, columns = entry
    if callable(columns):
        like = X._meta if hasattr(X, "columns") else X
        select = columns

        def columns(_: Any) -> Any:
            return select(like)

    fits = hasattr(transformer, "fit") and hasattr(transformer, "transform")
    if fits or (isinstance(transformer, str) and transformer == "passthrough"):
        transformer = Step(name, transformer, work)
    return name, transformer, columns


def without_placeholders(value: Any) -> Any:
    """Return a list of steps, or a step, with each placeholder replaced by its transformer."""
    if isinstance(value, Step):
        return value.transformer
    if type(value) in (list, tuple):
        return type(value)(map(without_placeholders, value))
    return value


def positions_of(X: Any) -> Any:
    """Return one row that holds the position of each column."""
    row = np.arange(X.shape[1])[np.newaxis]
    # Arrays of a data set, and variables of an xarray Dataset, have names, too.
    names = getattr(X, "columns", getattr(X, "feature_names", None))
    return row if names is None else pd.DataFrame(row, columns=names)
