"""The scores of a report, by passes over the test data."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier

from dlbd_estimators import metrics
from dlbd_estimators.reports.page import Table


def scores(estimator: Any, X: Any, y: Any, sample_weight: Any) -> list[Table]:
    """Return tables of scores.

    Each line of the first table is a pass over lazy data, and the confusion matrix one more; of a
    classifier, accuracies follow from that matrix.
    """
    weight = {"sample_weight": sample_weight}
    if is_classifier(estimator):
        return _of_classes(estimator, X, y, weight)
    predicted = estimator.predict(X)
    rows = [
        ("R2", metrics.r2_score(y, predicted, **weight)),
        ("root mean squared error", metrics.root_mean_squared_error(y, predicted, **weight)),
        ("mean absolute error", metrics.mean_absolute_error(y, predicted, **weight)),
    ]
    if getattr(predicted, "ndim", 1) == 1:
        rows.append(("largest error", metrics.max_error(y, predicted)))
    return [Table("Scores on the test data", (), [(name, f"{value:.6g}") for name, value in rows])]


def _of_classes(estimator: Any, X: Any, y: Any, weight: dict[str, Any]) -> list[Table]:
    classes = [str(label) for label in estimator.classes_]
    labels = estimator.classes_
    matrix = metrics.confusion_matrix(y, estimator.predict(X), labels=labels, **weight)
    rows = matrix.sum(axis=1)
    right = matrix.diagonal()
    lines = [
        ("accuracy", right.sum() / matrix.sum()),
        ("balanced accuracy", (right[rows > 0] / rows[rows > 0]).mean()),
    ]
    if hasattr(estimator, "predict_proba"):
        probability = estimator.predict_proba(X)
        lines.append(("log loss", metrics.log_loss(y, probability, labels=labels, **weight)))
        if len(classes) == 2:
            positive = y == labels[1]
            if np.ndim(positive) == 1:
                area = metrics.roc_auc_score(positive, probability[:, 1], **weight)
                lines.append(("area under the ROC curve", area))
    told = Table("Scores on the test data", (), [(name, f"{value:.4f}") for name, value in lines])
    counts = [
        (f"is {name}", *(f"{count:,g}" for count in counted))
        for name, counted in zip(classes, matrix, strict=True)
    ]
    found = Table("Confusion matrix", ("", *(f"predicted {name}" for name in classes)), counts)
    return [told, found]
