"""Classifiers for many penalty strengths and splits, fitted to a sample of rows in this process.

A *tilt* corrects the sampling error of the gradients. It is a linear term in the objective of each
model, and makes the gradient at one point equal to that of all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.kernel import Block, tile_rows, tiles
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits
from dlbd_estimators.kernels.paths import residuals
from dlbd_estimators.kernels.row_sample import DrawnRows
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.gauge import fix_gauge

#: A step longer than this share of the step before requires a new Hessian.
_SLOW = 0.2
#: Largest change of a parameter in one step, in standard units.
_LONGEST = 5.0
_MAX_STEPS = 100
_MAX_HALVINGS = 30
#: Relative length of a step that is only rounding error.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PathRows:
    """Rows in memory, in standard units: columns have mean 0 (with an intercept) and variance 1.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features in standard units.
    y : ndarray of shape (n_rows,)
        Class numbers, from 0.
    weight : ndarray of shape (n_rows,)
        Sample weights, divided by the probability that the row is drawn.
    probability : ndarray of shape (n_rows,)
        Probability that the row is drawn.
    times : ndarray of shape (n_rows, n_parts)
        How often each part contains each row.
    """

    shapes: ClassVar[Shapes] = {
        "X": ("n_rows", "n_features"), "y": ("n_rows",), "weight": ("n_rows",),
        "times": ("n_rows", "n_parts"),
    }  # fmt: skip

    X: FloatArray
    y: FloatArray
    weight: FloatArray
    probability: FloatArray
    times: FloatArray

    @classmethod
    def of(cls, drawn: DrawnRows, centre: FloatArray, scale: FloatArray) -> PathRows:
        """Return drawn rows in standard units.

        Parameters
        ----------
        drawn : DrawnRows
            The rows that a pass has drawn.
        centre, scale : ndarray of shape (n_features,)
            Subtracted from the columns, and then their divisor.
        """
        X = np.concatenate(drawn.X).astype(np.float64)
        X -= centre
        X /= scale
        columns = drawn.y, drawn.weight, drawn.probability, drawn.parts
        return cls(X, *(np.concatenate(column) for column in columns))

    def block(self) -> DividedBlock:
        """Return the rows as a divided block."""
        row_numbers = np.arange(len(self.X))
        parts = tuple(np.repeat(row_numbers, counts.astype(np.intp)) for counts in self.times.T)
        return DividedBlock(self.X, self.y, self.weight, parts)


@dataclass(frozen=True)
class Tilted:
    """The objectives of some splits on rows in memory.

    All models, gradients and Hessians are for features in standard units.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features of the rows.
    label : ndarray of shape (n_rows,)
        Class numbers of the rows.
    weights : ndarray of shape (n_splits, n_rows)
        Training weight of each row in each split; the weights of a split add up to 1.
    packing : Packing
        Order of a model's parameters.
    """

    X: FloatArray
    label: NDArray[np.intp]
    weights: FloatArray
    packing: Packing

    @classmethod
    def of(cls, rows: PathRows, packing: Packing, splits: Splits) -> Tilted:
        """Return the objectives of splits on rows.

        Parameters
        ----------
        rows : PathRows
            The rows.
        packing : Packing
            Order of a model's parameters.
        splits : Splits
            The parts that each split trains on.
        """
        times = [rows.times[:, list(parts)].sum(axis=1) for parts in splits.train]
        weights = np.array(times) * rows.weight
        weights /= np.maximum(weights.sum(axis=1), np.finfo(float).tiny)[:, None]
        return cls(rows.X, rows.y.astype(np.intp), weights, packing)

    def gradient(self, models: FloatArray) -> FloatArray:
        """Return the gradients of the mean losses of models (n_splits, n_models, size)."""
        n, (outputs, width) = self.packing.n_features, self.packing.shape
        flat = models.reshape(-1, width)
        coef, constants = np.ascontiguousarray(flat[:, :n]), flat[:, n:]
        gradient = np.zeros(flat.shape)
        # By tiles, because both products read the rows: the second one from the processor's cache.
        for tile in tiles(len(self.X), tile_rows(n)):
            X = self.X[tile]
            raw = coef @ X.T
            if self.packing.fit_intercept:
                raw += constants
            raw = raw.reshape(*models.shape[:2], outputs, len(X))
            residual = residuals(raw, self.label[tile], self.weights[:, tile])
            residual = residual.reshape(len(flat), -1)
            gradient[:, :n] += residual @ X
            if self.packing.fit_intercept:
                gradient[:, n] += residual.sum(axis=1)
        return gradient.reshape(models.shape)

    def metric(self, weight: FloatArray, model: FloatArray, penalty: FloatArray) -> Factor:
        """Factor the Hessian of an objective.

        Parameters
        ----------
        weight : ndarray of shape (n_rows,)
            Weights of the rows; they add up to 1.
        model, penalty : ndarray of shape (size,)
            Parameters at which the Hessian is formed, and the diagonal of the penalty's Hessian.
        """
        loss = HalfBinomialLoss() if self.packing.n_outputs == 1 else HalfMultinomialLoss()
        block = Block(self.X, self.label.astype(np.float64), weight)
        hessian = LinearKernel(loss, self.packing, Order.HESSIAN)(block, model).hessian
        assert hessian is not None
        hessian[np.diag_indices_from(hessian)] += penalty
        if self.packing.n_outputs > 1:
            fix_gauge(hessian, self.packing)
        return Factor.of(hessian)

    def minimise(
        self, models: FloatArray, tilt: FloatArray, penalty: FloatArray, enough: float
    ) -> FloatArray:
        """Return the minimisers of all splits' objectives at one strength, by Newton's method.

        All splits begin with one Hessian, that of the mean of their objectives. A split whose steps
        do not become shorter fast enough gets a Hessian of its own. A step is halved while the
        slope at its end shows that it went too far beyond the minimum along it.

        Parameters
        ----------
        models : ndarray of shape (n_splits, size)
            Initial models.
        tilt : ndarray of shape (n_splits, size)
            Linear term of each split's objective.
        penalty : ndarray of shape (n_splits, size)
            Diagonals of the penalty's Hessian.
        enough : float
            A split ends with a step that is at most this long, relative to its first step.
        """

        def slopes(at: FloatArray) -> FloatArray:
            return np.asarray(self.gradient(at[:, None])[:, 0] + tilt + penalty * at)

        models, gradient = models.copy(), slopes(models)
        mean = self.weights.mean(axis=0), models.mean(axis=0), penalty.mean(axis=0)
        metrics = [self.metric(*mean)] * len(models)
        first = last = np.full(len(models), np.inf)
        unfinished = np.ones(len(models), dtype=bool)
        for _ in range(_MAX_STEPS):
            step = np.zeros_like(models)
            for split in np.flatnonzero(unfinished).tolist():
                step[split] = -metrics[split].solve(gradient[split])
            longest = np.abs(step).max(axis=1)
            step *= np.minimum(1.0, _LONGEST / np.maximum(longest, _LONGEST))[:, None]
            models, gradient = _damped_step(models, gradient, step, slopes)
            length = lengths(step, models)
            first = np.where(np.isinf(first), length, first)
            unfinished &= length > np.maximum(enough * first, _ROUNDING)
            if not unfinished.any():
                break
            for split in np.flatnonzero(unfinished & (length > _SLOW * last)).tolist():
                metrics[split] = self.metric(self.weights[split], models[split], penalty[split])
            last = length
        return models


def _damped_step(
    models: FloatArray,
    gradient: FloatArray,
    step: FloatArray,
    slopes: Callable[[FloatArray], FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Make steps, halving those that go too far; return the new models and their gradients."""
    slope_before = np.abs((step * gradient).sum(axis=1))
    for _ in range(_MAX_HALVINGS):
        gradient_after = slopes(models + step)
        overshot = overshoots(step, gradient_after, slope_before)
        if not overshot.any():
            break
        step[overshot] /= 2.0
    return models + step, gradient_after


def overshoots(
    step: FloatArray, gradient: FloatArray, slope_before: FloatArray
) -> NDArray[np.bool_]:
    """Return which steps went too far beyond the minimum along them.

    They did if the slope at the end of the step is positive and above half the initial slope.

    Parameters
    ----------
    step, gradient : ndarray of shape (..., size)
        Steps, and the gradients at their ends.
    slope_before : ndarray of shape (...)
        Absolute slopes at the beginning of the steps.
    """
    slope = (step * gradient).sum(axis=-1)
    noise = 1e-13 * np.abs(step).sum(axis=-1)
    return np.asarray(slope > 0.5 * slope_before + noise)


def lengths(step: FloatArray, models: FloatArray) -> FloatArray:
    """Return each step's largest change of a parameter, relative to the largest parameter."""
    largest = np.abs(models).max(axis=-1)
    change = np.abs(step).max(axis=-1)
    return np.asarray(change / np.maximum(largest, np.maximum(change, np.finfo(float).tiny)))
