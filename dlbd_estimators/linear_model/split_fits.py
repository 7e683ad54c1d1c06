"""What a search gets of models that are fitted to all splits of a cross-validation together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from dlbd_estimators.kernels.arrays import FloatArray


class Scaling(Protocol):
    """A step before the model that divides each column, by what a split trains on.

    Attributes
    ----------
    with_mean : bool
        It subtracts the mean, too.
    """

    with_mean: bool

    def __call__(self, mean: FloatArray, variance: FloatArray, n_rows: int) -> FloatArray:
        """Hear of the next split's columns; return what they are divided by.

        Parameters
        ----------
        mean, variance : ndarray of shape (n_features,)
            Of the rows that the split trains on.
        n_rows : int
            Their number.
        """


@dataclass
class SplitFits:
    """Models of all candidates and splits, and scores that sums over rows give.

    Attributes
    ----------
    models : list of list of estimator, or None
        By candidate and split, fitted; None for a candidate that has to be fitted by itself.
    test, train : dict of str to ndarray of shape (n_candidates, n_splits)
        By scikit-learn's names of scorers, on the rows that are tested on, and trained on.
    n_passes : float
        Readings of the data.
    """

    models: list[list[Any] | None]
    n_passes: float
    test: dict[str, FloatArray] = field(default_factory=dict)
    train: dict[str, FloatArray] = field(default_factory=dict)
