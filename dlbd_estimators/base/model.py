"""The base class of all models: conversion to scikit-learn, HTML, callbacks, sparse input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin

from dlbd_estimators.base.html import SummaryHTML
from dlbd_estimators.base.to_sklearn import ToSklearnMixin
from dlbd_estimators.kernels.predictors import Predictor


class Model(ToSklearnMixin, SummaryHTML, CallbackSupportMixin, BaseEstimator, ABC):
    """Base of the linear models, logistic regression and the perceptrons."""

    #: Whether a Dask array may have sparse blocks.
    _sparse_blocks = True

    @abstractmethod
    def _model(self) -> Predictor:
        """Return the object that computes raw predictions, made from the fitted attributes."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
