"""What a score needs: sums over rows of predictions against targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.kernels import Block, Kernel, tile_rows, tiles


@dataclass
class ScoreSums:
    """Weight, rows, and by output: the mean, its squared deviations, squared errors.

    For classes (one output) ``squared_errors`` counts the weight of wrong predictions.
    """

    weight: float
    n_rows: int
    mean: FloatArray
    deviations: FloatArray
    squared_errors: FloatArray


@dataclass(frozen=True)
class ScoreKernel(Kernel[ScoreSums]):
    """Errors of a linear model's predictions on one block.

    The parameters of the pass are (coef, intercept), of shapes (n_outputs, n_features)
    and (n_outputs,).

    Parameters
    ----------
    classify : bool
        Compare the predicted class with the encoded label, not numbers.
    """

    classify: bool

    def __call__(self, block: Block, parameters: tuple[FloatArray, FloatArray]) -> ScoreSums:
        coef, intercept = parameters
        targets = block.targets
        weights = np.ones(block.n_rows) if block.weight is None else block.weight
        weight = float(weights.sum())
        mean = (weights @ targets) / weight if weight > 0 else np.zeros(targets.shape[1])
        deviations = weights @ (targets - mean) ** 2
        errors = np.zeros(targets.shape[1])
        for rows in tiles(block.n_rows, tile_rows(block.X.shape[1])):
            raw = block.X[rows].astype(np.float64) @ coef.T + intercept
            if self.classify:
                predicted = raw[:, 0] > 0 if len(coef) == 1 else raw.argmax(axis=1)
                # A NaN predicts nothing: it must reach `is_finite`.
                errors += weights[rows] @ (predicted != targets[rows, 0]) + 0.0 * raw.sum()
            else:
                errors += weights[rows] @ (raw - targets[rows]) ** 2
        return ScoreSums(weight, block.n_rows, mean, deviations, errors)

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
        )

    def is_finite(self, partial: ScoreSums) -> bool:
        return bool(np.isfinite(partial.squared_errors).all())
