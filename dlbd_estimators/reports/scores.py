"""Compute the scores of a report by passes over the test data."""

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

    For lazy data, each line of the first table takes one pass, and the confusion matrix one more.
    The accuracies of a classifier take none: they are computed from that matrix.
    """
    if not is_classifier(estimator):
        by_name = _regression_scores(estimator, X, y, sample_weight)
        return [_table((name, f"{value:.6g}") for name, value in by_name.items())]
    by_name, matrix = _classification_scores(estimator, X, y, sample_weight)
    classes = [str(label) for label in estimator.classes_]
    counts = [
        (f"is {name}", *(f"{count:,g}" for count in row_counts))
        for name, row_counts in zip(classes, matrix, strict=True)
    ]
    score_table = _table((name, f"{value:.4f}") for name, value in by_name.items())
    return [
        score_table,
        Table("Confusion matrix", ("", *(f"predicted {name}" for name in classes)), counts),
    ]


def named_scores(estimator: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """Return the scores of the report as numbers by name, without the confusion matrix."""
    if is_classifier(estimator):
        return _classification_scores(estimator, X, y, sample_weight)[0]
    return _regression_scores(estimator, X, y, sample_weight)


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    return Table("Scores on the test data", (), list(rows))


def _regression_scores(estimator: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    weight = {"sample_weight": sample_weight}
    predicted = estimator.predict(X)
    by_name = {
        "R2": metrics.r2_score(y, predicted, **weight),
        "root mean squared error": metrics.root_mean_squared_error(y, predicted, **weight),
        "mean absolute error": metrics.mean_absolute_error(y, predicted, **weight),
    }
    if getattr(predicted, "ndim", 1) == 1:
        by_name["largest error"] = metrics.max_error(y, predicted)
    return {name: float(value) for name, value in by_name.items()}


def _classification_scores(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[dict[str, float], NDArray[Any]]:
    """Return the scores of a classifier by name, and its confusion matrix."""
    weight = {"sample_weight": sample_weight}
    labels = estimator.classes_
    matrix = metrics.confusion_matrix(y, estimator.predict(X), labels=labels, **weight)
    rows = matrix.sum(axis=1)
    correct = matrix.diagonal()
    by_name = {
        "accuracy": correct.sum() / matrix.sum(),
        "balanced accuracy": (correct[rows > 0] / rows[rows > 0]).mean(),
    }
    if hasattr(estimator, "predict_proba"):
        probability = estimator.predict_proba(X)
        by_name["log loss"] = metrics.log_loss(y, probability, labels=labels, **weight)
        if len(labels) == 2:
            positive = y == labels[1]
            if np.ndim(positive) == 1:
                by_name["area under the ROC curve"] = metrics.roc_auc_score(
                    positive, probability[:, 1], **weight
                )
    return {name: float(value) for name, value in by_name.items()}, matrix
