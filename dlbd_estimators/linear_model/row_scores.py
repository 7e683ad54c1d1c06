"""Scores of rows in memory that no sums over rows give: scikit-learn's scorers see predictions."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from dlbd_estimators.base.prediction import Labels, decision
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.blocks.splits import DividedBlocks
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.linear_model.cv_splits import held_out
from dlbd_estimators.linear_model.logistic import LogisticRegression
from dlbd_estimators.linear_model.ridge import Ridge


def targets_in_memory(blocks: Blocks) -> tuple[FloatArray, FloatArray | None]:
    """Return the targets in memory, a column each, and the weights."""
    loaded = [blocks.load(index) for index in range(blocks.n_blocks)]
    weights = [each.weight for each in loaded if each.weight is not None]
    y = np.concatenate([each.targets for each in loaded])
    return y, np.concatenate(weights) if weights else None


def _takes_weights(scorer: Any) -> bool:
    accepts = getattr(scorer, "_accept_sample_weight", None)
    return bool(accepts()) if accepts else "sample_weight" in signature(scorer).parameters


def score_of_models(
    scoring: Any, blocks: DividedBlocks, splits: Splits, alphas: FloatArray, fit_intercept: bool
) -> Callable[[int, FloatArray, FloatArray], FloatArray]:
    """Return a score of models on the rows that a split tests on.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it.
    blocks : DividedBlocks
        In memory.
    splits : Splits
        How they are divided.
    alphas : ndarray of shape (n_alphas,)
        Of the models.
    fit_intercept : bool
        Whether these have one.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    weighted = _takes_weights(scorer)

    def score(number: int, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        X, y, weight = held_out(blocks, splits, number)
        given = {} if weight is None or not weighted else {"sample_weight": weight}
        scores = np.empty(len(alphas))
        for index, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept)
            model.n_features_in_ = X.shape[1]
            flat = y.ndim == 1
            model.coef_ = coef[index, 0] if flat else coef[index]
            model.intercept_ = intercept[index, 0] if flat else intercept[index]
            scores[index] = _finite(scorer(model, X, y, **given), number)
        return scores

    return score


def _finite(score: Any, number: int | None) -> float:
    if not np.isfinite(score):
        where = "of leave-one-out" if number is None else f"of split {number}"
        raise ValueError(
            f"The score {where} is {score}. Take a scoring that is finite for all rows held out, "
            f"or fewer folds."
        )
    return float(score)


class _Predictions(RegressorMixin, BaseEstimator):
    """A model of what it has predicted: scorers take models."""

    def fit(self, X: Any, y: Any) -> _Predictions:
        return self

    def predict(self, X: Any) -> Any:
        return X


def score_of_rows(
    scoring: Any, blocks: Blocks, *, single: bool, per_target: bool
) -> Callable[[FloatArray], FloatArray]:
    """Return a score of leave-one-out errors, of which each target may have its own.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it.
    blocks : Blocks
        In memory.
    single : bool
        Targets have one dimension.
    per_target : bool
        Score each target for itself.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    y, weight = targets_in_memory(blocks)
    given = {} if weight is None else {"sample_weight": weight}

    def one(targets: FloatArray, predicted: FloatArray) -> float:
        return _finite(scorer(_Predictions(), predicted, targets, **given), None)

    def score(errors: FloatArray) -> FloatArray:
        predicted = y[:, None, :] - errors
        rows = []
        for index in range(errors.shape[1]):
            each = predicted[:, index]
            if per_target:
                rows.append([one(y[:, k], each[:, k]) for k in range(y.shape[1])])
            else:
                rows.append([one(y[:, 0], each[:, 0]) if single else one(y, each)])
        return np.array(rows)

    return score


def scores_of_classifiers(
    scoring: Any,
    blocks: DividedBlocks,
    splits: Splits,
    parameters: FloatArray,
    packing: Packing,
    classes: NDArray[Any],
) -> FloatArray:
    """Return the scores of classifiers on the rows that their splits test on.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : DividedBlocks
        Rows in memory.
    splits : Splits
        How the rows are divided.
    parameters : ndarray of shape (n_splits, n_models, packing.size)
        Coefficients and intercepts of the models.
    packing : Packing
        The order of the parameters.
    classes : ndarray of shape (n_classes,)
        All labels.

    Returns
    -------
    ndarray of shape (n_splits, n_models)
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    labelled = blocks.encoded(Encoding(raw=True))
    scores = np.empty((len(parameters), parameters.shape[1]))
    for number in range(len(scores)):
        X, y, weight = held_out(labelled, splits, number)
        given = {} if weight is None else {"sample_weight": weight}
        for place in range(scores.shape[1]):
            model = LogisticRegression()
            model.classes_, model.n_features_in_ = classes, X.shape[1]
            model.coef_, model.intercept_ = packing.unpack(parameters[number, place])
            scores[number, place] = _finite(scorer(model, X, y, **given), number)
    return scores


class _Decisions(ClassifierMixin, BaseEstimator):
    """A classifier of what it has decided: scorers take models."""

    def __init__(self, classes: Any = None) -> None:
        self.classes = classes

    def fit(self, X: Any, y: Any) -> _Decisions:
        return self

    @property
    def classes_(self) -> Any:
        return self.classes

    def decision_function(self, X: Any) -> Any:
        return decision(X)

    def predict(self, X: Any) -> Any:
        return Labels(self.classes)(X)


def score_of_class_rows(
    scoring: Any, blocks: Blocks, labels: NDArray[Any], classes: NDArray[Any]
) -> Callable[[FloatArray], FloatArray]:
    """Return a score of leave-one-out errors of a classifier.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it.
    blocks : Blocks
        In memory; targets are the classes as columns.
    labels : ndarray of shape (n_rows,)
        Of the rows.
    classes : ndarray of shape (n_classes,)
        All labels.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    y, weight = targets_in_memory(blocks)
    given = {} if weight is None or not _takes_weights(scorer) else {"sample_weight": weight}

    def score(errors: FloatArray) -> FloatArray:
        decided = np.moveaxis(y[:, None, :] - errors, 1, 0)
        scores = [scorer(_Decisions(classes), each, labels, **given) for each in decided]
        return np.array([[_finite(each, None)] for each in scores])

    return score


def score_of_class_models(
    scoring: Any, blocks: DividedBlocks, splits: Splits, classes: NDArray[Any]
) -> Callable[[int, FloatArray, FloatArray], FloatArray]:
    """Return a score of linear classifiers on the rows that a split tests on.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it.
    blocks : DividedBlocks
        In memory, with the numbers of the classes.
    splits : Splits
        How they are divided.
    classes : ndarray of shape (n_classes,)
        All labels.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    weighted = _takes_weights(scorer)

    def score(number: int, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        X, y, weight = held_out(blocks, splits, number)
        y = classes[y.astype(np.intp)]
        given = {} if weight is None or not weighted else {"sample_weight": weight}
        decided = [X @ w.T + b for w, b in zip(coef, intercept, strict=True)]
        scores = [scorer(_Decisions(classes), each, y, **given) for each in decided]
        return np.array([_finite(each, number) for each in scores])

    return score
