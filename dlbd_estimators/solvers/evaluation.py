"""What a solver learns of the objective by a pass."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.importance import ImportantRows


@dataclass(frozen=True)
class Columns:
    """Weighted mean (less the objective's centre) and variance of each feature."""

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Known:
    """What passes have shown of the data. The first pass that shows a value fixes it.

    Attributes
    ----------
    total_weight : float or None
        Sum of the weights, as soon as it is known.
    unit : float
        Divides a decrement, to free it from the units of y: 1 for classes.
    centre : ndarray of shape (n_features,) or None
        What features are centred by, as soon as it is fixed.
    """

    total_weight: float | None = None
    unit: float = 1.0
    centre: FloatArray | None = None


NOTHING_KNOWN = Known()


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
        See :class:`~dlbd_estimators.kernels.linear.LinearKernel`.
    columns : Columns or None
        Where moments were asked for.
    known : Known
        With what this pass has taught.
    weight : float
        Sum of all weights, as far as this pass can tell.
    rows : ImportantRows or None
        Where a rule to keep them by was given.
    """

    point: FloatArray
    value: float
    gradient: FloatArray
    hessian: FloatArray | None
    n_errors: int
    radius: float
    columns: Columns | None
    known: Known
    weight: float
    rows: ImportantRows | None
