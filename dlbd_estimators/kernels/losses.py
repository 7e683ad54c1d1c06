"""Pointwise losses: they see raw predictions and targets, never features.

Conventions
-----------
``raw`` has shape (n_rows, n_outputs) and is float64 (for networks also float32, as y and
weight then are); the losses are the exact *half* forms, so that their gradients carry no
stray factor:

=================== ================================================== =========
loss                value for one row                                  n_outputs
=================== ================================================== =========
HalfSquaredError    sum_k (y_k - raw_k)^2 / 2                          targets
HalfPoissonDeviance sum_k exp(raw_k) - y_k raw_k + y_k log(y_k) - y_k  targets
HalfBinomialLoss    sum_k log(1 + exp(raw_k)) - y_k raw_k, y in {0, 1} labels
HalfMultinomialLoss log(sum_k exp(raw_k)) - raw_y, y in 0..K-1         classes
=================== ================================================== =========

Every form is written so that no intermediate overflows for finite ``raw``, but for the
Poisson deviance, whose value itself does.
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
