"""Which columns belong to which step: scikit-learn's answer, without the data.

scikit-learn's ColumnTransformer is fitted to a table of one row that holds each column's
position, with steps that note the positions they are passed. So columns are selected by name,
position, slice, mask or callable exactly as scikit-learn does it, with its errors, and the
fitted state is scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

#: From a step's name, its transformer, the positions of its columns, and the row of positions:
#: the fitted transformer and its lazy output.
Work = Callable[[str, Any, list[int], Any], tuple[Any, Any]]


class Step(BaseEstimator):
    """The placeholder of a transformer while scikit-learn resolves columns."""

    def __init__(self, name: str, transformer: Any, work: Work) -> None:
        self.name = name
        self.transformer = transformer
        self.work = work

    def __sklearn_clone__(self) -> Step:
        return self  # what it did is looked up afterwards

    def set_output(self, *, transform: Any = None) -> Step:
        return self  # ColumnTransformer.set_output asks it of every step

    def fit(self, X: Any, y: Any = None) -> Step:
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        if X.ndim == 1:
            # scikit-learn turns these words into advice on how to select one column.
            raise ValueError("Expected 2D array, got 1D array instead")
        positions = [int(each) for each in np.asarray(X)[0]]
        self.fitted_, self.output_ = self.work(self.name, self.transformer, positions, X)
        return np.zeros((1, self.output_.shape[1]))

    def transform(self, X: Any) -> NDArray[np.float64]:
        return self.fit_transform(X)


def is_entry(each: Any) -> bool:
    """Tell whether something is a name, a transformer and columns."""
    return isinstance(each, tuple | list) and len(each) == 3


def placeholder(entry: Any, work: Work, X: Any) -> Any:
    """Return an entry with a placeholder instead of its transformer.

    A wrong entry is returned as it is: scikit-learn then raises the error.
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
    return pd.DataFrame(row, columns=X.columns) if hasattr(X, "columns") else row
