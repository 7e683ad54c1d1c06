"""The model to draw: an estimator, or the last step of a pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def last_step(estimator: Any) -> Any:
    """Return an estimator, or the last step of a pipeline.

    Raises
    ------
    NotFittedError
        The estimator was not fitted.
    """
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    check_is_fitted(model)
    return model
