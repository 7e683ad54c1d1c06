"""Pointwise losses: functions of raw predictions and targets, not of features.

Conventions
-----------
``raw`` has shape (n_rows, n_outputs) and is float64. For networks, ``raw``, y and weight may
all be float32. The losses are the exact *half* forms, so that their gradients have no extra
factor:

=================== ================================================== =========
loss                value for one row                                  n_outputs
=================== ================================================== =========
HalfSquaredError    sum_k (y_k - raw_k)^2 / 2                          targets
HalfPoissonDeviance sum_k exp(raw_k) - y_k raw_k + y_k log(y_k) - y_k  targets
HalfBinomialLoss    sum_k log(1 + exp(raw_k)) - y_k raw_k, y in {0, 1} labels
HalfMultinomialLoss log(sum_k exp(raw_k)) - raw_y, y in 0..K-1         classes
=================== ================================================== =========

No intermediate result overflows for finite ``raw``, except in the Poisson deviance, whose
value itself may overflow.
"""

from __future__ import annotations

from dlbd_estimators.kernels.half_binomial_loss import HalfBinomialLoss
from dlbd_estimators.kernels.half_multinomial_loss import HalfMultinomialLoss
from dlbd_estimators.kernels.half_poisson_deviance import HalfPoissonDeviance
from dlbd_estimators.kernels.half_squared_error import HalfSquaredError
from dlbd_estimators.kernels.loss import Loss, Pointwise

__all__ = [
    "HalfBinomialLoss",
    "HalfMultinomialLoss",
    "HalfPoissonDeviance",
    "HalfSquaredError",
    "Loss",
    "Pointwise",
]
