"""Scores by scikit-learn's scorers, which need the predictions of all rows in memory."""

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
    """Return the targets of all rows, one column for each target, and the weights."""
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
    """Return a function that scores regression models on the test rows of a split.

    The function takes the number of the split, and coefficients and intercepts of one model for
    each alpha. It returns one score for each alpha.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : DividedBlocks
        Rows in memory.
    splits : Splits
        Training and test parts of each split.
    alphas : ndarray of shape (n_alphas,)
        Alphas of the models.
    fit_intercept : bool
        Whether the models have an intercept.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    weighted = _takes_weights(scorer)

    def score(number: int, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        X, y, weight = held_out(blocks, splits, number)
        options = {} if weight is None or not weighted else {"sample_weight": weight}
        scores = np.empty(len(alphas))
        for index, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept)
            model.n_features_in_ = X.shape[1]
            flat = y.ndim == 1
            model.coef_ = coef[index, 0] if flat else coef[index]
            model.intercept_ = intercept[index, 0] if flat else intercept[index]
            scores[index] = _score(scorer, model, X, y, options, number)
        return scores

    return score


def _score(
    scorer: Any, model: Any, X: Any, y: Any, options: dict[str, Any], number: int | None
) -> float:
    """Return the score of a model; ``number`` is that of the split, None for leave-one-out.

    Raises
    ------
    ValueError
        The scorer needs a method that the model does not have, or the score is not finite.
    """
    source = "of leave-one-out" if number is None else f"of split {number}"
    try:
        score = scorer(model, X, y, **options)
    except AttributeError as error:
        raise ValueError(
            f"The score {source} cannot be computed: {error} Use a scoring that the model has the "
            f"predictions for."
        ) from error
    if not np.isfinite(score):
        raise ValueError(
            f"The score {source} is {score}. Use a scoring that is finite for all held-out rows, "
            f"or fewer folds."
        )
    return float(score)


class _Predictions(RegressorMixin, BaseEstimator):
    """A model whose X are its predictions, because scorers need a model."""

    def fit(self, X: Any, y: Any) -> _Predictions:
        return self

    def predict(self, X: Any) -> Any:
        return X


def score_of_rows(
    scoring: Any, blocks: Blocks, *, single: bool, per_target: bool
) -> Callable[[FloatArray], FloatArray]:
    """Return a function that scores the leave-one-out errors of a regression.

    The function takes errors of shape (n_rows, n_alphas, n_targets). It returns scores of shape
    (n_alphas, n_targets) if ``per_target`` is True, otherwise (n_alphas, 1).

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : Blocks
        Rows in memory.
    single : bool
        Whether y has one dimension.
    per_target : bool
        Whether to score each target separately.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    y, weight = targets_in_memory(blocks)
    options = {} if weight is None else {"sample_weight": weight}

    def one(targets: FloatArray, predicted: FloatArray) -> float:
        return _score(scorer, _Predictions(), predicted, targets, options, None)

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
    """Return the scores of classifiers on the test rows of their splits.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : DividedBlocks
        Rows in memory.
    splits : Splits
        Training and test parts of each split.
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
        options = {} if weight is None else {"sample_weight": weight}
        for model_number in range(scores.shape[1]):
            model = LogisticRegression()
            model.classes_, model.n_features_in_ = classes, X.shape[1]
            model.coef_, model.intercept_ = packing.unpack(parameters[number, model_number])
            scores[number, model_number] = _score(scorer, model, X, y, options, number)
    return scores


class _Decisions(ClassifierMixin, BaseEstimator):
    """A classifier whose X are its decision values, because scorers need a model."""

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
    """Return a function that scores the leave-one-out errors of a classifier.

    The function takes errors of shape (n_rows, n_alphas, n_outputs), and returns scores of shape
    (n_alphas, 1).

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : Blocks
        Rows in memory, whose targets are 1 for a class and -1 for the others.
    labels : ndarray of shape (n_rows,)
        Labels of the rows.
    classes : ndarray of shape (n_classes,)
        All labels.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    y, weight = targets_in_memory(blocks)
    options = {} if weight is None or not _takes_weights(scorer) else {"sample_weight": weight}

    def score(errors: FloatArray) -> FloatArray:
        decided = np.moveaxis(y[:, None, :] - errors, 1, 0)
        model = _Decisions(classes)
        return np.array([[_score(scorer, model, each, labels, options, None)] for each in decided])

    return score


def score_of_class_models(
    scoring: Any, blocks: DividedBlocks, splits: Splits, classes: NDArray[Any]
) -> Callable[[int, FloatArray, FloatArray], FloatArray]:
    """Return a function that scores linear classifiers on the test rows of a split.

    The function takes the number of the split, and coefficients and intercepts of one classifier
    for each alpha. It returns one score for each alpha.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer of scikit-learn, or a scorer.
    blocks : DividedBlocks
        Rows in memory, whose targets are the positions of their labels in ``classes``.
    splits : Splits
        Training and test parts of each split.
    classes : ndarray of shape (n_classes,)
        All labels.
    """
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    weighted = _takes_weights(scorer)

    def score(number: int, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        X, y, weight = held_out(blocks, splits, number)
        y = classes[y.astype(np.intp)]
        options = {} if weight is None or not weighted else {"sample_weight": weight}
        decided = [X @ w.T + b for w, b in zip(coef, intercept, strict=True)]
        model = _Decisions(classes)
        return np.array([_score(scorer, model, each, y, options, number) for each in decided])

    return score
