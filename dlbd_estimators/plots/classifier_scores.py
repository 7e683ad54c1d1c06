"""Lazy scores of the positive class of a fitted classifier, for displays."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.metrics.one_pass import check_choice


def classifier_scores(
    estimator: Any, X: Any, response_method: str, pos_label: Any
) -> tuple[Any, Any]:
    """Return lazy scores of the positive class, and the label of this class.

    Raises
    ------
    NotFittedError
        The classifier was not fitted.
    ValueError
        The estimator is not a classifier of two classes, ``pos_label`` is not one of them, or
        ``response_method`` is unknown.
    """
    check_choice("response_method", response_method, ("auto", "predict_proba", "decision_function"))
    check_is_fitted(estimator)
    if not is_classifier(estimator):
        raise ValueError(
            f"Expected 'estimator' to be a binary classifier. Got {type(estimator).__name__} "
            f"instead."
        )
    classes = np.asarray(estimator.classes_)
    if len(classes) != 2:
        raise ValueError(
            f"Expected 'estimator' to be a binary classifier. Got {len(classes)} classes instead."
        )
    positive = classes[1] if pos_label is None else pos_label
    if positive not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a valid label: it should be one of {classes}."
        )
    if response_method == "auto":
        has_probabilities = hasattr(estimator, "predict_proba")
        response_method = "predict_proba" if has_probabilities else "decision_function"
    scores = getattr(estimator, response_method)(X)
    if scores.ndim == 2:
        return scores[:, list(classes).index(positive)], positive
    return (scores if positive == classes[1] else -scores), positive
