"""Plots of fits and predictions, as scikit-learn's Display classes: need matplotlib.

>>> from dlbd_estimators.plots import LossCurveDisplay
>>> LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
"""

from __future__ import annotations

from dlbd_estimators.plots.calibration import CalibrationDisplay
from dlbd_estimators.plots.coefficient_path import CoefficientPathDisplay
from dlbd_estimators.plots.coefficients import CoefficientsDisplay
from dlbd_estimators.plots.loss_curve import LossCurveDisplay
from dlbd_estimators.plots.roc_curve import RocCurveDisplay
from dlbd_estimators.plots.search_scores import SearchScoresDisplay

__all__ = [
    "CalibrationDisplay",
    "CoefficientPathDisplay",
    "CoefficientsDisplay",
    "LossCurveDisplay",
    "RocCurveDisplay",
    "SearchScoresDisplay",
]
