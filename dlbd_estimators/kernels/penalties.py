"""Penalties on the coefficients; the intercept is never penalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing


@dataclass(frozen=True)
class L2:
    """``sum_k strength_k ||coef_k||^2 / 2`` over the outputs k.

    Parameters
    ----------
    strength : float or ndarray of shape (n_outputs,)
        Strength of the penalty of each output, at least zero; zero means no penalty.
    of_mean : bool
        Whether the penalty is added to the mean of the losses instead of their sum.
    """

    strength: float | FloatArray = 0.0
    of_mean: bool = False

    @property
    def active(self) -> bool:
        """Whether any coefficient is penalised."""
        if isinstance(self.strength, np.ndarray):
            return bool(np.any(self.strength > 0))
        return self.strength > 0  # a solver asks often, and an array of one number takes long

    def diagonal(self, packing: Packing) -> FloatArray:
        """Return the penalty's constant Hessian diagonal, in the packed order."""
        diagonal = np.zeros(packing.shape)
        strength = self.strength
        if isinstance(strength, np.ndarray):
            strength = strength.reshape(-1, 1)
        diagonal[:, : packing.n_features] = strength
        return diagonal.reshape(-1)

    def value(self, packing: Packing, parameters: FloatArray) -> float:
        """Return the penalty at the packed ``parameters``."""
        return 0.5 * float(self.diagonal(packing) @ (parameters * parameters))

    def gradient(self, packing: Packing, parameters: FloatArray) -> FloatArray:
        """Return the penalty's gradient at the packed ``parameters``."""
        return self.diagonal(packing) * parameters


@dataclass(frozen=True)
class L1:
    """``strength sum_k |coef_k|_1``, optionally with coefficients restricted to at least zero.

    Parameters
    ----------
    strength : float
        Strength of the penalty, at least zero.
    positive : bool
        Whether coefficients must be at least zero.
    of_mean : bool
        Whether the penalty is added to the mean of the losses instead of their sum.
    """

    strength: float = 0.0
    positive: bool = False
    of_mean: bool = False

    def value(self, packing: Packing, parameters: FloatArray) -> float:
        """Return the penalty at the packed ``parameters``."""
        coef = parameters.reshape(packing.shape)[:, : packing.n_features]
        return self.strength * float(np.abs(coef).sum())
