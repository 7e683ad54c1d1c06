"""The interface between a search and models that are fitted to all its splits together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dlbd_estimators.kernels.arrays import FloatArray


class Scaling(Protocol):
    """A scaler before the model, which divides each column by a number for each split.

    Attributes
    ----------
    with_mean : bool
        Whether the scaler also subtracts the mean.
    """

    with_mean: bool

    def __call__(self, mean: FloatArray, variance: FloatArray, n_rows: int) -> FloatArray:
        """Return the divisors of the columns for the next split.

        Parameters
        ----------
        mean, variance : ndarray of shape (n_features,)
            Mean and variance of each column in the training rows of the split.
        n_rows : int
            Number of training rows.
        """


@dataclass
class SplitFits:
    """Fitted models of all candidates and splits, and their scores.

    Attributes
    ----------
    models : list of list of estimator, or None
        Fitted models by candidate and split; None for a candidate that has to be fitted separately.
    test, train : dict of str to ndarray of shape (n_candidates, n_splits)
        Scores on test and training rows that follow from sums over rows, by scikit-learn's scorer
        names.
    n_passes : float
        Number of passes over the data.
    """

    models: list[list[Any] | None]
    n_passes: float
    test: dict[str, FloatArray] = field(default_factory=dict)
    train: dict[str, FloatArray] = field(default_factory=dict)


class FitOnSplits(Protocol):
    """Type of ``_fit_on_splits`` of a model class: fit candidates to all splits together."""

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
            Models of this class, which differ only in the parameters ``_shared_parameters``.
        X : array-like, sparse matrix or lazy array of shape (n_samples, n_features)
            Features, in the types that ``fit`` takes.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets or labels.
        sample_weight : float, array-like, lazy array of shape (n_samples,) or None
            Weights, at least 0.
        cv : splitter, list of pairs of ndarray, or ndarray of int
            The training and test rows of each split.
        scaling : Scaling or None
            The scaler before the model in a pipeline.
        train_scores : bool
            Whether to score on the training rows, too.

        Returns
        -------
        SplitFits or None
            Fitted models and their scores; None if the candidates cannot be fitted together.
        """
