"""scikit-learn's metrics, also for data larger than memory.

Every function has the name, the parameters and the defaults of scikit-learn's function. If all
data are in memory, it calls scikit-learn's function. If the targets, the predictions or the
weights are Dask arrays, Dask series or Zarr arrays, one pass computes sums over the rows, in a
fixed tree (the same bits on any scheduler). It returns what scikit-learn returns for the computed
arrays: a float or an ndarray. Sums are in float64 whatever the precision of the data.

scikit-learn's ``make_scorer`` accepts these functions:

>>> from dlbd_estimators.metrics import log_loss
>>> from sklearn.metrics import make_scorer
>>> scoring = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
"""

from __future__ import annotations

from dlbd_estimators.metrics.classification import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)
from dlbd_estimators.metrics.curves import calibration_curve, roc_curve
from dlbd_estimators.metrics.probabilities import brier_score_loss, log_loss
from dlbd_estimators.metrics.ranking import roc_auc_score
from dlbd_estimators.metrics.regression import (
    max_error,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "calibration_curve",
    "confusion_matrix",
    "f1_score",
    "log_loss",
    "max_error",
    "mean_absolute_error",
    "mean_poisson_deviance",
    "mean_squared_error",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "roc_curve",
    "root_mean_squared_error",
]
