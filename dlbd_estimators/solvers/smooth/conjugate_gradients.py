"""Solve with a Hessian that is available only through its products with vectors.

Preconditioned conjugate gradients, truncated early (Dembo and Steihaug 1983): far from the minimum,
a Newton step need not be exact. The preconditioner is the Hessian without the blocks that couple
outputs, that is, one matrix for each output. The outputs of a softmax are coupled so weakly that
about ten products are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.solver import PassGenerator

#: Values added to the diagonal of a scaled matrix, in turn, until it has a Cholesky factor.
_RIDGES = (1e-10, 1e-7, 1e-4, 1e-1)


class Preconditioner(Protocol):
    """An approximation of the Hessian that is easy to solve with."""

    def solve(self, right: FloatArray, /) -> FloatArray:
        """Return the solution for a right-hand side in the packed order."""

    def inverse_diagonal(self) -> FloatArray:
        """Return the diagonal of its inverse, in the packed order."""


class PerOutput:
    """The diagonal blocks of a Hessian, one for each output.

    The matrix of each output is first scaled to a unit diagonal, so that the units of the columns
    cost no digits.

    Parameters
    ----------
    matrices : ndarray of shape (n_outputs, width, width)
        Symmetric and positive semi-definite. They are not changed.

    Attributes
    ----------
    condition : float
        The largest estimated condition number of an output's scaled matrix.
    """

    def __init__(self, matrices: FloatArray) -> None:
        if not np.isfinite(matrices).all():
            raise Diverged("The Hessian overflowed. Scale the columns of X.")
        diagonal = np.diagonal(matrices, axis1=1, axis2=2).copy()
        diagonal[~(diagonal > 0)] = 1.0
        self._scale = 1.0 / np.sqrt(diagonal)
        self._factors = []
        self.condition = 1.0
        for matrix, scale in zip(matrices, self._scale, strict=True):
            scaled = matrix * scale * scale[:, None]
            factor, ridge = _cholesky(scaled)
            self._factors.append(factor)
            norm = float(np.abs(scaled).sum(axis=0).max()) + ridge
            reciprocal, _ = lapack.dpocon(factor, norm, uplo="L")
            self.condition = max(self.condition, 1.0 / max(float(reciprocal), 1e-300))

    def solve(self, right: FloatArray, /) -> FloatArray:
        """Return the solution for a right-hand side in the packed order."""
        rows = right.reshape(self._scale.shape) * self._scale
        for row, factor in zip(rows, self._factors, strict=True):
            row[:] = lapack.dpotrs(factor, row, lower=True)[0]
        return np.asarray((rows * self._scale).ravel())

    def inverse_diagonal(self) -> FloatArray:
        """Return the diagonal of its inverse, in the packed order."""
        inverses = [np.diag(lapack.dpotri(factor, lower=True)[0]) for factor in self._factors]
        return np.asarray((np.array(inverses) * self._scale**2).ravel())


def _cholesky(scaled: FloatArray) -> tuple[FloatArray, float]:
    identity = np.diag_indices_from(scaled)
    for ridge in _RIDGES:
        matrix = scaled.copy()
        # A parameter without curvature has a zero on the diagonal: make it one.
        matrix[identity] += ridge + (matrix[identity] <= 0)
        factor, failed = lapack.dpotrf(matrix, lower=True, clean=False)
        if not failed:
            return factor, ridge
    return np.eye(len(scaled)), 1.0


@dataclass(frozen=True)
class InexactStep:
    """An approximate Newton step.

    Attributes
    ----------
    step : ndarray
        The step, in the packed order.
    left : float
        Estimate of the decrement of the quadratic model after the step.
    n_products : int
        Number of products with the Hessian.
    smallest : float
        The smallest curvature that was found, relative to that of the preconditioner.
    """

    step: FloatArray
    left: float
    n_products: int
    smallest: float


def inexact_step(
    product: Callable[[FloatArray], PassGenerator[FloatArray]],
    gradient: FloatArray,
    preconditioner: Preconditioner,
    project: Callable[[FloatArray], FloatArray],
    *,
    share: float,
    enough: float,
    max_products: int,
) -> PassGenerator[InexactStep]:
    """Solve ``H step = -gradient`` approximately, by preconditioned conjugate gradients.

    Parameters
    ----------
    product : callable
        Requests the Hessian times a vector.
    gradient : ndarray
        The gradient, in the packed order.
    preconditioner : Preconditioner
        An approximation of the Hessian.
    project : callable
        Removes from a vector the part that does not affect the objective.
    share : float
        The iteration ends if the norm of the residual, in the metric of the preconditioner, is at
        most this share of the norm of the gradient.
    enough : float
        The iteration also ends if the norm of the residual is at most this.
    max_products : int
        Largest number of products.
    """
    step = np.zeros_like(gradient)
    residual = -gradient
    direction = preconditioned = project(preconditioner.solve(residual))
    size = first = float(residual @ preconditioned)
    lengths: list[float] = []
    ratios: list[float] = []
    while size > max(share**2 * first, enough**2) and len(lengths) < max_products:
        hessian_direction = yield from product(direction)
        curvature = float(direction @ hessian_direction)
        if not curvature > 0:
            break
        length = size / curvature
        step = step + length * direction
        residual = residual - length * hessian_direction
        preconditioned = project(preconditioner.solve(residual))
        previous_size, size = size, float(residual @ preconditioned)
        lengths.append(length)
        ratios.append(size / previous_size)
        direction = preconditioned + ratios[-1] * direction
    # In the metric of the Hessian itself, the norm is larger by at most 1 / sqrt(smallest).
    smallest = _smallest_ritz_value(lengths, ratios)
    left = float(np.sqrt(max(size, 0.0) / smallest)) if smallest > 0 else np.inf
    return InexactStep(step, left, len(lengths), smallest)


def _smallest_ritz_value(lengths: list[float], ratios: list[float]) -> float:
    """Return the smallest curvature that conjugate gradients found, relative to the preconditioner.

    It is the smallest eigenvalue of the tridiagonal matrix that they form implicitly (Lanczos).
    """
    if not lengths:
        return 1.0
    inverse, shares = 1.0 / np.array(lengths), np.array(ratios[:-1])
    diagonal = inverse.copy()
    diagonal[1:] += shares * inverse[:-1]
    off_diagonal = np.sqrt(np.maximum(shares, 0.0)) * inverse[:-1]
    if not (np.isfinite(diagonal).all() and np.isfinite(off_diagonal).all()):
        return 0.0
    values = linalg.eigh_tridiagonal(
        diagonal,
        off_diagonal,
        eigvals_only=True,
        select="i",
        select_range=(0, 0),
        check_finite=False,
    )
    return float(values[0])
