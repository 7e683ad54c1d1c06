"""What all models are: estimators that leave, show their fit, call back, and take sparse rows."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin

from dlbd_estimators.base.html import SummaryHTML
from dlbd_estimators.base.to_sklearn import ToSklearnMixin


class Model(ToSklearnMixin, SummaryHTML, CallbackSupportMixin, BaseEstimator):
    """Base of the linear models, logistic regression and the perceptrons."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
