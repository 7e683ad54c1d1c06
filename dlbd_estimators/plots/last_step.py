"""The model that is drawn: an estimator, or what a pipeline ends in."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def last_step(estimator: Any) -> Any:
    """Return an estimator, or the last step of a pipeline.

    Raises
    ------
    NotFittedError
        It was not fitted.
    """
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    check_is_fitted(model)
    return model
