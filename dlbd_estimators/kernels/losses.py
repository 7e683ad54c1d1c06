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

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from dlbd_estimators.kernels.arrays import FloatArray, Order

#: From here on pairs of classes are not looked at one by one.
_MANY_CLASSES = 64


class Pointwise(NamedTuple):
    """What a loss says about the rows of one tile.

    Attributes
    ----------
    value : float
        Weighted sum of the losses.
    gradient : ndarray of shape (n_rows, n_outputs) or None
        Derivative of each row's weighted loss in its raw predictions.
    curvature : ndarray or None
        What :meth:`Loss.curvature_between` needs to give second derivatives.
    """

    value: float
    gradient: FloatArray | None
    curvature: FloatArray | None


class Loss(ABC):
    """A convex loss of one row's raw predictions."""

    #: True where the second derivative does not depend on ``raw``.
    quadratic: bool = False
    #: True where each row's outputs are coupled (a dense Hessian across outputs).
    coupled: bool = False
    #: True where a network averages the loss over its outputs, as scikit-learn's does.
    mean_of_outputs: bool = False
    #: Upper bound of the second derivative, over all raw predictions.
    curvature_bound: float
    #: The name shown on the dashboard.
    name: str

    @abstractmethod
    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        """Sum the losses of some rows and, if asked, differentiate each.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Targets, encoded as the table above says.
        raw : ndarray of shape (n_rows, n_outputs)
            Raw predictions. Not changed.
        weight : ndarray of shape (n_rows,) or None
            Sample weights; None is one for every row.
        order : Order
            How many derivatives to return.
        """

    @abstractmethod
    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        """Second derivative of each row's loss in outputs ``k`` and ``j``."""

    def curvature_of_each(self, curvature: FloatArray, n_outputs: int) -> FloatArray:
        """Second derivatives of each row's loss in each output: (n_rows, n_outputs)."""
        return np.column_stack([self.curvature_between(curvature, k, k) for k in range(n_outputs)])

    def curvature_along(self, curvature: FloatArray, change: FloatArray) -> FloatArray:
        """Derivative of each row's gradient along a change of its raw predictions.

        Parameters
        ----------
        curvature : ndarray
            As :meth:`evaluate` gave it.
        change : ndarray of shape (n_rows, n_outputs)
            Used up: it may not be the same afterwards.
        """
        change *= curvature.reshape(len(change), -1)
        return change

    @abstractmethod
    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        """Count the rows that are not classified with a positive margin.

        Zero errors on all rows prove perfect separation, where an unpenalised
        fit has no minimiser.
        """

    @abstractmethod
    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        """Directions along which a change of ``raw`` bounds how fast the curvature changes.

        For a step ``d`` of shape (n_outputs, n_parameters) returns rows ``v`` such
        that ``|third derivative| <= max_v |x v| * second derivative`` along the step
        (generalised self-concordance, Bach 2010).
        """


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the squared error, for one or several targets."""

    quadratic = True
    mean_of_outputs = True
    curvature_bound = 1.0
    name = "squared"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        residual = raw - y.reshape(raw.shape)
        gradient = residual if weight is None else residual * weight[:, None]
        value = 0.5 * float(np.einsum("ij,ij->", residual, gradient))
        curvature = None
        if order >= Order.HESSIAN:
            curvature = np.ones(len(raw)) if weight is None else weight
        return Pointwise(value, gradient if order >= Order.GRADIENT else None, curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature if k == j else np.zeros_like(curvature)

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        return len(raw)

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return np.zeros((1, steps.shape[1]))


@dataclass(frozen=True)
class HalfPoissonDeviance(Loss):
    """Half the Poisson deviance of counts, with the logarithm of the mean as raw prediction."""

    curvature_bound = np.inf
    name = "poisson"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        y = y.reshape(raw.shape)
        mean = np.exp(raw)
        losses = mean - y
        losses -= y * raw
        losses += xlogy(y, y)
        by_row = losses.sum(axis=1)
        value = float(by_row.sum() if weight is None else by_row @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        gradient = mean - y
        if weight is not None:
            gradient *= weight[:, None]
            mean *= weight[:, None]
        return Pointwise(value, gradient, mean if order >= Order.HESSIAN else None)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature[:, k] if k == j else np.zeros(len(curvature))

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        return len(raw)

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return steps


@dataclass(frozen=True)
class HalfBinomialLoss(Loss):
    """Logistic loss of two classes, with the log-odds as raw prediction; or of several labels."""

    curvature_bound = 0.25
    name = "binomial"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        shape = raw.shape
        if shape[1] > 1 and weight is not None:
            weight = np.repeat(weight, shape[1])
        # Each label of a row is a decision of its own.
        raw, y = raw.reshape(-1), y.reshape(-1)
        # exp(-|raw|) never overflows, and every quantity below follows from it
        # without cancellation at either end.
        decay = np.exp(-np.abs(raw))
        losses = np.maximum(raw, 0.0)
        losses -= y * raw
        losses += np.log1p(decay)
        value = float(losses.sum() if weight is None else losses @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        complement = 1.0 / (1.0 + decay)
        gradient = np.where(raw >= 0, complement, decay * complement)
        gradient -= y
        if weight is not None:
            gradient *= weight
        curvature = None
        if order >= Order.HESSIAN:
            curvature = decay * complement * complement
            if weight is not None:
                curvature *= weight
            curvature = curvature.reshape(shape)
        return Pointwise(value, gradient.reshape(shape), curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature[:, k] if k == j else np.zeros(len(curvature))

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        margins = (2 * y.reshape(raw.shape) - 1) * raw
        return int(np.count_nonzero(margins.min(axis=1) <= 0))

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return steps


@dataclass(frozen=True)
class HalfMultinomialLoss(Loss):
    """Softmax cross-entropy of K classes, with one raw prediction a class.

    Adding a constant to all raw predictions of a row changes nothing: the
    Hessian is singular along it, and the solvers fix that gauge.
    """

    coupled = True
    curvature_bound = 0.5
    name = "multinomial"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        rows = np.arange(len(raw))
        label = y.astype(np.intp)
        probability = raw - raw.max(axis=1, keepdims=True)
        own = probability[rows, label]
        np.exp(probability, out=probability)
        total = probability.sum(axis=1)
        losses = np.log(total) - own
        value = float(losses.sum() if weight is None else losses @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        probability /= total[:, None]
        curvature = None
        if order >= Order.HESSIAN:
            # The last column carries the weights to `curvature_between`.
            ones = np.ones(len(raw)) if weight is None else weight
            curvature = np.empty((len(raw), raw.shape[1] + 1))
            curvature[:, :-1], curvature[:, -1] = probability, ones
        gradient = probability
        gradient[rows, label] -= 1.0
        if weight is not None:
            gradient *= weight[:, None]
        return Pointwise(value, gradient, curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        weighted = curvature[:, k] * curvature[:, -1]
        return weighted * ((1.0 if k == j else 0.0) - curvature[:, j])

    def curvature_of_each(self, curvature: FloatArray, n_outputs: int) -> FloatArray:
        probability = curvature[:, :n_outputs]
        each = 1.0 - probability
        each *= probability
        each *= curvature[:, -1:]
        return each

    def curvature_along(self, curvature: FloatArray, change: FloatArray) -> FloatArray:
        probability = curvature[:, :-1]
        change -= np.einsum("ik,ik->i", probability, change)[:, None]
        change *= probability
        change *= curvature[:, -1:]
        return change

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        rows = np.arange(len(raw))
        label = y.astype(np.intp)
        others = raw.copy()
        others[rows, label] = -np.inf
        return int(np.count_nonzero(raw[rows, label] <= others.max(axis=1)))

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        # E[(u-Eu)^2 (v-Ev)] <= (max v - min v) Var(u): differences of two classes.
        if len(steps) > _MANY_CLASSES:  # their pairs are more than fit; no two differ by more
            return np.asarray(2.0 * (steps - steps.mean(axis=0)))
        upper, lower = np.triu_indices(len(steps), 1)
        return steps[upper] - steps[lower]
