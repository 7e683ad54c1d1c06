"""The scores of a report, by passes over the test data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from dlbd_estimators import metrics
from dlbd_estimators.reports.page import Table


def scores(estimator: Any, X: Any, y: Any, sample_weight: Any) -> list[Table]:
    """Return tables of scores.

    Each line of the first table is a pass over lazy data, and the confusion matrix one more; of a
    classifier, accuracies follow from that matrix.
    """
    if not is_classifier(estimator):
        found = _of_numbers(estimator, X, y, sample_weight)
        return [_table((name, f"{value:.6g}") for name, value in found.items())]
    found, matrix = _of_classes(estimator, X, y, sample_weight)
    classes = [str(label) for label in estimator.classes_]
    counts = [
        (f"is {name}", *(f"{count:,g}" for count in counted))
        for name, counted in zip(classes, matrix, strict=True)
    ]
    told = _table((name, f"{value:.4f}") for name, value in found.items())
    return [
        told,
        Table("Confusion matrix", ("", *(f"predicted {name}" for name in classes)), counts),
    ]


def named_scores(estimator: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """Return the same scores as numbers, without the confusion matrix."""
    if is_classifier(estimator):
        return _of_classes(estimator, X, y, sample_weight)[0]
    return _of_numbers(estimator, X, y, sample_weight)


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    return Table("Scores on the test data", (), list(rows))


def _of_numbers(estimator: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    weight = {"sample_weight": sample_weight}
    predicted = estimator.predict(X)
    found = {
        "R2": metrics.r2_score(y, predicted, **weight),
        "root mean squared error": metrics.root_mean_squared_error(y, predicted, **weight),
        "mean absolute error": metrics.mean_absolute_error(y, predicted, **weight),
    }
    if getattr(predicted, "ndim", 1) == 1:
        found["largest error"] = metrics.max_error(y, predicted)
    return {name: float(value) for name, value in found.items()}


def _of_classes(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[dict[str, float], NDArray[Any]]:
    """Return the scores of a classifier, and its confusion matrix."""
    weight = {"sample_weight": sample_weight}
    labels = estimator.classes_
    matrix = metrics.confusion_matrix(y, estimator.predict(X), labels=labels, **weight)
    rows = matrix.sum(axis=1)
    right = matrix.diagonal()
    found = {
        "accuracy": right.sum() / matrix.sum(),
        "balanced accuracy": (right[rows > 0] / rows[rows > 0]).mean(),
    }
    if hasattr(estimator, "predict_proba"):
        probability = estimator.predict_proba(X)
        found["log loss"] = metrics.log_loss(y, probability, labels=labels, **weight)
        if len(labels) == 2:
            positive = y == labels[1]
            if np.ndim(positive) == 1:
                found["area under the ROC curve"] = metrics.roc_auc_score(
                    positive, probability[:, 1], **weight
                )
    return {name: float(value) for name, value in found.items()}, matrix
