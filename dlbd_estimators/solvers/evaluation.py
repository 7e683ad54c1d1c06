"""What one pass over the data returns to a solver about the objective."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.importance import ImportantRows


@dataclass(frozen=True)
class Columns:
    """Weighted mean (less the objective's centre) and variance of each feature."""

    shapes: ClassVar[Shapes] = {"mean": ("n_features",), "variance": ("n_features",)}

    mean: FloatArray
    variance: FloatArray

    @cached_property
    def norm_weights(self) -> FloatArray:
        """Weights of the row norm: one over the variance; any positive weights are valid."""
        varies = self.variance > 0
        return np.asarray(1.0 / np.where(varies, self.variance, np.maximum(self.mean**2, 1.0)))


@dataclass(frozen=True)
class Known:
    """Facts about the data that passes have found. The first pass that finds a value fixes it.

    Attributes
    ----------
    total_weight : float or None
        Sum of the weights; None until a pass has found it.
    unit : float
        Newton decrements are divided by it, to be independent of the units of y: the standard
        deviation of y for least squares, otherwise 1.
    centre : ndarray of shape (n_features,) or None
        Vector that is subtracted from the features; None until a pass has fixed it.
    """

    shapes: ClassVar[Shapes] = {"centre": ("n_features",)}

    total_weight: float | None = None
    unit: float = 1.0
    centre: FloatArray | None = None

    @property
    def subtracted(self) -> FloatArray | None:
        """The centre; None if it is not known or zero, so that nothing is subtracted."""
        return None if self.centre is None or not self.centre.any() else self.centre


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Evaluation:
    """The objective at one point.

    Attributes
    ----------
    point : ndarray
        Parameters at which F was evaluated, for features centred by ``known.centre``. If this pass
        has fixed the centre, they describe the same model as the parameters given, for other
        features.
    value : float
        The objective, F.
    gradient, hessian : ndarray or None
        Derivatives of F without its l1 part, in the packed order; None if not computed.
    n_errors : int
        Number of rows without a positive margin, if they were counted.
    radius : float
        See :class:`~dlbd_estimators.kernels.linear.LinearKernel`.
    columns : Columns or None
        Mean and variance of the features, if the pass computed them.
    known : Known
        Facts about the data, including those that this pass has found.
    weight : float
        Sum of the weights of all rows; an estimate if only a sample has been read.
    rows : ImportantRows or None
        The rows kept, if a rule for keeping rows was given.
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
