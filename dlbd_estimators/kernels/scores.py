"""Sums over rows from which scores are computed: targets and errors of predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles
from dlbd_estimators.kernels.loss import Loss
from dlbd_estimators.kernels.predictors import Predictor
from dlbd_estimators.kernels.sparse_rows import is_sparse, operand


@dataclass
class ScoreSums:
    """Weight, rows and, by output, mean of targets, squared deviations from it, squared errors.

    For classes (one output), ``squared_errors`` is the total weight of the wrong predictions.
    ``loss`` is the weighted sum of the losses; 0 if none was requested.
    """

    weight: float
    n_rows: int
    mean: FloatArray
    deviations: FloatArray
    squared_errors: FloatArray
    loss: float = 0.0


class Errors(ABC):
    """The definition of the error of a prediction."""

    @abstractmethod
    def __call__(self, raw: FloatArray, targets: FloatArray) -> FloatArray:
        """Return each row's errors: squared differences, or 1 where the class is wrong.

        Parameters
        ----------
        raw : ndarray of shape (n_rows, n_outputs)
            Raw predictions.
        targets : ndarray of shape (n_rows, n_targets)
            Encoded targets.

        Returns
        -------
        ndarray of shape (n_rows, n_targets) or (n_rows, 1)
        """


@dataclass(frozen=True)
class SquaredErrors(Errors):
    """Squared differences of numbers.

    Parameters
    ----------
    inverse_link : callable, optional
        Function from raw predictions to predictions; None if both are equal.
    """

    inverse_link: Callable[[FloatArray], FloatArray] | None = None

    def __call__(self, raw: FloatArray, targets: FloatArray) -> FloatArray:
        predicted = raw if self.inverse_link is None else self.inverse_link(raw)
        return np.asarray((predicted - targets) ** 2)


@dataclass(frozen=True)
class WrongClass(Errors):
    """1 where the class is wrong; with two classes, raw predictions are log-odds."""

    def __call__(self, raw: FloatArray, targets: FloatArray) -> FloatArray:
        predicted = raw[:, 0] > 0 if raw.shape[1] == 1 else raw.argmax(axis=1)
        return np.asarray(predicted != targets[:, 0], dtype=np.float64)[:, None]


@dataclass(frozen=True)
class OtherClass(Errors):
    """1 where the class is not the only class of the training data, for any prediction."""

    def __call__(self, raw: FloatArray, targets: FloatArray) -> FloatArray:
        return np.asarray(targets[:, :1] != 0, dtype=np.float64)


@dataclass(frozen=True)
class WrongLabels(Errors):
    """1 where any of a row's binary labels is wrong."""

    def __call__(self, raw: FloatArray, targets: FloatArray) -> FloatArray:
        wrong = np.any((raw > 0) != (targets > 0), axis=1, keepdims=True)
        return np.asarray(wrong, dtype=np.float64)


@dataclass(frozen=True)
class ScoreKernel(Kernel[ScoreSums]):
    """Errors of a model's predictions on one block; the parameters of the pass are the model.

    Parameters
    ----------
    errors : Errors
        Definition of the errors to sum.
    loss : Loss, optional
        Loss to sum, too.
    """

    errors: Errors
    loss: Loss | None = None

    def __call__(self, block: Block, parameters: Predictor) -> ScoreSums:
        targets = block.targets
        dtype = np.result_type(block.X.dtype, parameters.dtype)
        model = parameters.astype(dtype)
        weights = np.ones(block.n_rows) if block.weight is None else block.weight
        weight = float(weights.sum())
        mean = (weights @ targets) / weight if weight > 0 else np.zeros(targets.shape[1])
        deviations = weights @ (targets - mean) ** 2
        errors, loss = np.zeros(targets.shape[1]), 0.0
        columns = 1 if is_sparse(block.X) else block.X.shape[1]
        for rows in tiles(block.n_rows, tile_rows(columns)):
            X = operand(block.X, rows).astype(dtype, copy=False)
            raw = model(X).astype(np.float64, copy=False)
            # A NaN also gives some class: `0.0 * raw.sum()` passes it on to `is_finite`.
            errors += weights[rows] @ self.errors(raw, targets[rows]) + 0.0 * raw.sum()
            if self.loss is not None:
                y = block.y[rows].astype(np.float64, copy=False)
                loss += self.loss.evaluate(y, raw, weights[rows], Order.VALUE).value
        return ScoreSums(weight, block.n_rows, mean, deviations, errors, loss)

    def combine(self, left: ScoreSums, right: ScoreSums) -> ScoreSums:
        weight = left.weight + right.weight
        share = right.weight / weight if weight > 0 else 0.0
        gap = right.mean - left.mean
        return ScoreSums(
            weight,
            left.n_rows + right.n_rows,
            left.mean + share * gap,
            left.deviations + right.deviations + left.weight * share * gap**2,
            left.squared_errors + right.squared_errors,
            left.loss + right.loss,
        )

    def is_finite(self, partial: ScoreSums) -> bool:
        return bool(np.isfinite(partial.squared_errors).all())
