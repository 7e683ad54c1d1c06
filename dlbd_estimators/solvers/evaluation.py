"""What a solver learns of the objective by a pass."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.objectives.arrays import FloatArray


@dataclass(frozen=True)
class Columns:
    """Weighted mean (less the objective's centre) and variance of each feature."""

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Evaluation:
    """The objective at one point.

    Attributes
    ----------
    point : ndarray
        Where. The first pass fixes the centre: the same point has other parameters from then on.
    value : float
        F.
    gradient, hessian : ndarray or None
        Of F without its l1 part, in the packed order.
    n_errors : int
        Rows without a positive margin, where they were counted.
    radius : float
        See :class:`~dlbd_estimators.objectives.linear.LinearKernel`.
    columns : Columns or None
        Where moments were asked for.
    """

    point: FloatArray
    value: float
    gradient: FloatArray
    hessian: FloatArray | None
    n_errors: int
    radius: float
    columns: Columns | None
