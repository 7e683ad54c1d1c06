"""The contract between a search and models that are fitted to all its splits together."""

from __future__ import annotations

from collections.abc import Sequence
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


class FitOnSplits(Protocol):
    """What ``_fit_on_splits`` of a model class does: fit candidates to all splits together."""

    def __call__(
        self,
        candidates: Sequence[Any],
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        cv: Any,
        scaling: Scaling | None,
        train_scores: bool,
    ) -> SplitFits | None:
        """Fit every candidate to the training rows of every split, and score it.

        Parameters
        ----------
        candidates : sequence of estimator
            Models of this class. They differ in parameters that shared sweeps can serve.
        X : array-like, sparse matrix or lazy array of shape (n_samples, n_features)
            Features, in the types that ``fit`` takes.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets or labels.
        sample_weight : float, array-like, lazy array of shape (n_samples,) or None
            Weights, at least 0.
        cv : splitter, list of pairs of ndarray, or ndarray of int
            Which rows each split trains on and tests on.
        scaling : Scaling or None
            The scaler before the model in a pipeline.
        train_scores : bool
            Whether to score on the training rows, too.

        Returns
        -------
        SplitFits or None
            Fitted models and their scores; None if the candidates cannot be fitted together.
        """
