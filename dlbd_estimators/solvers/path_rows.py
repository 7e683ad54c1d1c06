"""Classifiers of many strengths and splits, minimised on rows in this process.

The rows stand for all: what they get wrong of the gradients is put right by a *tilt*, a linear term
for each model that makes the gradient at one point that of all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits
from dlbd_estimators.kernels.paths import residuals
from dlbd_estimators.kernels.row_sample import DrawnRows
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.gauge import fix_gauge

#: A step that is longer than this share of the one before wants a new Hessian.
_SLOW = 0.2
#: No step changes a parameter, in standard units, by more.
_LONGEST = 5.0
_MAX_STEPS = 100
_MAX_HALVINGS = 30
#: Relative length of a step that is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PathRows:
    """Rows in memory, in standard units: columns have mean 0 (with an intercept) and variance 1.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features in standard units.
    y : ndarray of shape (n_rows,)
        Labels, from 0.
    weight : ndarray of shape (n_rows,)
        Sample weights, over the chance to be drawn.
    times : ndarray of shape (n_rows, n_parts)
        How often each row stands in each part.
    """

    X: FloatArray
    y: FloatArray
    weight: FloatArray
    times: FloatArray

    @classmethod
    def of(cls, drawn: DrawnRows, centre: FloatArray, scale: FloatArray) -> PathRows:
        """Join drawn rows.

        Parameters
        ----------
        drawn : DrawnRows
            As a pass brought them.
        centre, scale : ndarray of shape (n_features,)
            What makes columns standard.
        """
        X = np.concatenate(drawn.X).astype(np.float64)
        X -= centre
        X /= scale
        y, weight = np.concatenate(drawn.y), np.concatenate(drawn.weight)
        return cls(X, y, weight, np.concatenate(drawn.parts))

    def block(self) -> DividedBlock:
        """Return them as a divided block."""
        place = np.arange(len(self.X))
        parts = tuple(np.repeat(place, each.astype(np.intp)) for each in self.times.T)
        return DividedBlock(self.X, self.y, self.weight, parts)


@dataclass(frozen=True)
class Tilted:
    """The objectives of some splits on rows in memory; all for features in standard units.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features of the rows.
    label : ndarray of shape (n_rows,)
        Their classes.
    weights : ndarray of shape (n_rows, n_splits)
        By which each split trains on a row; they add up to 1.
    packing : Packing
        Order of a model's parameters.
    """

    X: FloatArray
    label: NDArray[np.intp]
    weights: FloatArray
    packing: Packing

    @classmethod
    def of(cls, rows: PathRows, packing: Packing, splits: Splits) -> Tilted:
        """Divide rows as splits say.

        Parameters
        ----------
        rows : PathRows
            The rows.
        packing : Packing
            Order of a model's parameters.
        splits : Splits
            How they are divided.
        """
        times = [rows.times[:, list(parts)].sum(axis=1) for parts in splits.train]
        weights = np.column_stack(times) * rows.weight[:, None]
        weights /= np.maximum(weights.sum(axis=0), np.finfo(float).tiny)
        return cls(rows.X, rows.y.astype(np.intp), weights, packing)

    def gradient(self, models: FloatArray) -> FloatArray:
        """Return the gradients of the mean losses of models (n_splits, n_models, size)."""
        n, (outputs, width) = self.packing.n_features, self.packing.shape
        flat = models.reshape(-1, width)
        raw = self.X @ flat[:, :n].T
        if self.packing.fit_intercept:
            raw += flat[:, n]
        residual = residuals(raw.reshape(len(raw), *models.shape[:2], outputs), self.label)
        residual *= self.weights[:, :, None, None]
        columns = residual.reshape(len(raw), -1)
        gradient = np.empty(flat.shape)
        gradient[:, :n] = columns.T @ self.X
        if self.packing.fit_intercept:
            gradient[:, n] = columns.sum(axis=0)
        return gradient.reshape(models.shape)

    def metric(self, weight: FloatArray, model: FloatArray, penalty: FloatArray) -> Factor:
        """Factor the Hessian of an objective.

        Parameters
        ----------
        weight : ndarray of shape (n_rows,)
            Of each row; they add up to 1.
        model, penalty : ndarray of shape (size,)
            Where, and the diagonal of the Hessian of the penalty.
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

        One Hessian, of all splits' mean, serves as many steps as go well with it; a split for which
        they do not gets its own. A step is halved as long as the slope along it says that it went
        too far.

        Parameters
        ----------
        models : ndarray of shape (n_splits, size)
            Where to begin.
        tilt : ndarray of shape (n_splits, size)
            Linear terms.
        penalty : ndarray of shape (n_splits, size)
            Diagonal of the Hessian of the penalty.
        enough : float
            Length of a last step, relative to the first.
        """

        def slopes(at: FloatArray) -> FloatArray:
            return np.asarray(self.gradient(at[:, None])[:, 0] + tilt + penalty * at)

        models, gradient = models.copy(), slopes(models)
        mean = self.weights.mean(axis=1), models.mean(axis=0), penalty.mean(axis=0)
        metrics = [self.metric(*mean)] * len(models)
        first = last = np.full(len(models), np.inf)
        open_ = np.ones(len(models), dtype=bool)
        for _ in range(_MAX_STEPS):
            step = np.zeros_like(models)
            for split in np.flatnonzero(open_).tolist():
                step[split] = -metrics[split].solve(gradient[split])
            longest = np.abs(step).max(axis=1)
            step *= np.minimum(1.0, _LONGEST / np.maximum(longest, _LONGEST))[:, None]
            models, gradient = _moved(models, gradient, step, slopes)
            length = lengths(step, models)
            first = np.where(np.isinf(first), length, first)
            open_ &= length > np.maximum(enough * first, _ROUNDING)
            if not open_.any():
                break
            for split in np.flatnonzero(open_ & (length > _SLOW * last)).tolist():
                metrics[split] = self.metric(self.weights[:, split], models[split], penalty[split])
            last = length
        return models


def _moved(
    models: FloatArray,
    gradient: FloatArray,
    step: FloatArray,
    slopes: Callable[[FloatArray], FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Return where steps lead, each as short as its slope asks for, and the gradients there."""
    promised = np.abs((step * gradient).sum(axis=1))
    for _ in range(_MAX_HALVINGS):
        there = slopes(models + step)
        far = too_far(step, there, promised)
        if not far.any():
            break
        step[far] /= 2.0
    return models + step, there


def too_far(step: FloatArray, gradient: FloatArray, promised: FloatArray) -> NDArray[np.bool_]:
    """Tell which steps went beyond the minimum along them, by the slopes where they ended.

    Parameters
    ----------
    step, gradient : ndarray of shape (..., size)
        Steps, and gradients after them.
    promised : ndarray of shape (...)
        Size of the slopes along them before; rounding is less than a share of it.
    """
    slope = (step * gradient).sum(axis=-1)
    noise = 1e-13 * np.abs(step).sum(axis=-1)
    return np.asarray(slope > 0.5 * promised + noise)


def lengths(step: FloatArray, models: FloatArray) -> FloatArray:
    """Return the largest change of a parameter, relative to a model's largest parameter."""
    largest = np.abs(models).max(axis=-1)
    change = np.abs(step).max(axis=-1)
    return np.asarray(change / np.maximum(largest, np.maximum(change, np.finfo(float).tiny)))
