"""Sums over rows of the errors of predicted numbers, and of the targets' squared deviations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.metrics.one_pass import numbers, row_weights


@dataclass
class Errors:
    """Mean of the targets, squared deviations from it, and errors, for each output.

    ``squares`` and ``distances`` are the sums of the squared and of the absolute errors. The mean
    is ``origin + shift``: if it is far from zero, a single float64 cannot hold the digits in which
    the means of blocks differ.
    """

    weight: float
    n_rows: int
    origin: FloatArray
    shift: FloatArray
    deviations: FloatArray
    squares: FloatArray
    distances: FloatArray
    largest: FloatArray


@dataclass(frozen=True)
class ErrorSums:
    """Sums for one pass: of errors, and of squared deviations of the targets."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> Errors:
        targets, predictions = _columns(y_true, y_pred)
        errors = targets - predictions
        weights = row_weights(sample_weight, len(targets))
        weight = float(weights.sum())
        origin = targets[0] if len(targets) else np.zeros(targets.shape[1])
        centred = targets - origin
        shift = weights @ centred / weight if weight > 0 else 0.0 * origin
        distances = np.abs(errors)
        return Errors(
            weight,
            len(targets),
            origin,
            shift,
            weights @ (centred - shift) ** 2,
            weights @ errors**2,
            weights @ distances,
            distances.max(axis=0, initial=0.0),
        )

    def combine(self, left: Errors, right: Errors) -> Errors:
        if len(left.shift) != len(right.shift):
            raise ValueError(
                f"Blocks differ in their number of outputs: {len(left.shift)} and "
                f"{len(right.shift)}."
            )
        weight = left.weight + right.weight
        share = right.weight / weight if weight > 0 else 0.0
        gap = (right.origin - left.origin) + (right.shift - left.shift)
        # Rows without weight have no mean: take that of the other blocks.
        known = right if left.weight == 0.0 else left
        return Errors(
            weight,
            left.n_rows + right.n_rows,
            known.origin,
            known.shift + (share * gap if known is left else 0.0),
            left.deviations + right.deviations + left.weight * share * gap**2,
            left.squares + right.squares,
            left.distances + right.distances,
            np.maximum(left.largest, right.largest),
        )


@dataclass(frozen=True)
class PoissonSums:
    """Sums for one pass: of deviances, weights and rows."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> FloatArray:
        targets, predictions = _columns(y_true, y_pred)
        if targets.shape[1] > 1:
            raise ValueError("Multioutput not supported in mean_poisson_deviance")
        weights = row_weights(sample_weight, len(targets))
        observed, predicted = targets[:, 0], predictions[:, 0]
        if (observed < 0).any() or (predicted <= 0).any():
            raise ValueError(
                "Mean Poisson deviance can only be used on non-negative y and strictly positive "
                "y_pred."
            )
        deviances = 2 * (xlogy(observed, observed / predicted) - observed + predicted)
        return np.array([weights @ deviances, weights.sum(), len(weights)])

    def combine(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return left + right


def _columns(y_true: Any, y_pred: Any) -> tuple[FloatArray, FloatArray]:
    """Return targets and predictions with a column for each output."""
    pair = []
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        array = numbers(name, values).astype(np.float64, copy=False)
        if array.ndim > 2:
            raise ValueError(f"{name} must be 1D or 2D, but has shape {array.shape}.")
        pair.append(array[:, None] if array.ndim == 1 else array)
    targets, predictions = pair
    if targets.shape[1] != predictions.shape[1]:
        raise ValueError(
            f"y_true and y_pred have different number of output "
            f"({targets.shape[1]}!={predictions.shape[1]})"
        )
    return targets, predictions
