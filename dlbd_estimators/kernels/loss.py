"""What a loss has to tell of rows, whatever predicts them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order


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
            Targets, encoded as the loss says.
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

    def value_at_zero(self, n_outputs: int) -> float | None:
        """Loss of a row whose raw predictions are zero; None if it depends on the targets."""
        return None

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
        (generalised self-concordance, Bach 2010); one row for each output, unless outputs are
        coupled or the loss is quadratic.
        """
