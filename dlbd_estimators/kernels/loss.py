"""The interface of a loss: its value and its derivatives on rows, for any model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order


class Pointwise(NamedTuple):
    """Value and derivatives of a loss on the rows of one tile.

    Attributes
    ----------
    value : float
        Weighted sum of the losses.
    gradient : ndarray of shape (n_rows, n_outputs) or None
        Derivative of each row's weighted loss with respect to its raw predictions.
    curvature : ndarray or None
        Data from which :meth:`Loss.curvature_between` computes second derivatives.
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
        """Return the summed loss of some rows and, if requested, the derivatives of each row.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Targets, encoded as the loss expects.
        raw : ndarray of shape (n_rows, n_outputs)
            Raw predictions. Not changed.
        weight : ndarray of shape (n_rows,) or None
            Sample weights; None is one for every row.
        order : Order
            How many derivatives to return.
        """

    @abstractmethod
    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        """Return the second derivative of each row's loss with respect to outputs k and j."""

    def curvature_of_each(self, curvature: FloatArray, n_outputs: int) -> FloatArray:
        """Return the second derivative of each row's loss with respect to each output.

        The result has shape (n_rows, n_outputs).
        """
        return np.column_stack([self.curvature_between(curvature, k, k) for k in range(n_outputs)])

    def curvature_along(self, curvature: FloatArray, change: FloatArray) -> FloatArray:
        """Return the derivative of each row's gradient along a change of its raw predictions.

        Parameters
        ----------
        curvature : ndarray
            As returned by :meth:`evaluate`.
        change : ndarray of shape (n_rows, n_outputs)
            The change. May be overwritten.
        """
        change *= curvature.reshape(len(change), -1)
        return change

    def value_at_zero(self, n_outputs: int) -> float | None:
        """Return the loss of a row with raw predictions of zero; None if it depends on targets."""
        return None

    @abstractmethod
    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        """Count the rows that are not classified with a positive margin.

        Zero errors on all rows prove perfect separation, where an unpenalised
        fit has no minimiser.
        """

    @abstractmethod
    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        """Return directions that bound how fast the curvature changes along a step.

        For a step of shape (n_outputs, n_parameters) the result has rows ``v`` such
        that ``|third derivative| <= max_v |x v| * second derivative`` along the step
        (generalised self-concordance, Bach 2010). There is one row for each output, unless
        outputs are coupled or the loss is quadratic.
        """
