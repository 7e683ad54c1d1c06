"""Multi-layer perceptrons with scikit-learn's interface, trained block by block."""

from __future__ import annotations

from dlbd_estimators.neural_network.classifier import MLPClassifier
from dlbd_estimators.neural_network.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
