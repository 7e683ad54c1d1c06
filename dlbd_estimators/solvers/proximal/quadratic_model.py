"""Minimise a small quadratic plus an l1 norm, or over non-negative coefficients.

    min_w  w G w / 2 - h w + l1 |w|_1        (w >= 0 where asked)

For any S and t with ``S.T S = G`` and ``S.T t = h`` this is, up to a constant, the Lasso of t on S.
S has no more rows than G, however many rows the data have. So S takes the place of the data, and
scikit-learn's coordinate descent, with its screening and its duality gap, solves the problem.
Without l1 it is a least-squares problem with bounds, for which there is a direct method (Lawson and
Hanson 1974).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.proximal.active_set import polish

#: Largest number of sweeps over the coordinates; a sweep costs about as much as reading S once. A
#: problem that has not converged by then needs exact steps.
_SWEEPS = 1_000
#: Relative duality gap below which there is only rounding error.
_ROUNDING = 8 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class Model:
    """A quadratic with a fixed matrix, to be minimised for several linear terms.

    Attributes
    ----------
    factor : ndarray of shape (rank, n)
        S, in Fortran order.
    inverse : ndarray of shape (rank, n)
        The matrix with ``t = inverse @ h``.
    """

    shapes: ClassVar[Shapes] = {"factor": ("rank", "n"), "inverse": ("rank", "n")}

    factor: FloatArray
    inverse: FloatArray

    @classmethod
    def of(cls, matrix: FloatArray, *, epsilon: float = float(np.finfo(float).eps)) -> Model:
        """Factor a symmetric positive semi-definite matrix.

        It is first scaled to a unit diagonal, so that the units of the columns cost no digits.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            G; it is not changed.
        epsilon : float
            Machine epsilon with which G was formed; eigenvalues below its level are dropped.
        """
        diagonal = np.diag(matrix).copy()
        diagonal[~(diagonal > 0)] = 1.0
        scale = np.sqrt(diagonal)
        values, vectors = linalg.eigh(matrix / scale / scale[:, None], check_finite=False)
        kept = values > len(values) * epsilon * max(values[-1], 0.0) if len(values) else values > 0
        root, basis = np.sqrt(values[kept])[:, None], vectors[:, kept].T
        return cls(np.asfortranarray(root * basis * scale), basis / root / scale)

    @property
    def regular(self) -> bool:
        """Whether the matrix has an inverse."""
        return len(self.factor) == len(self.factor.T)

    def inverse_diagonal(self, point: FloatArray) -> FloatArray:
        """Return the diagonal of the inverse of G.

        If G is singular, it is the inverse of the block of the coefficients that are not zero.

        Parameters
        ----------
        point : ndarray of shape (n,)
            The coefficients.
        """
        if self.regular:
            return np.asarray((self.inverse**2).sum(axis=0))
        diagonal, kept = np.zeros(len(point)), point != 0
        if kept.any():
            diagonal[kept] = self._block(kept).inverse_diagonal()
        return diagonal

    def distance(self, slope: FloatArray, point: FloatArray) -> float:
        """Return ``sqrt(slope G^-1 slope)``; if G is singular, with a block of G.

        Parameters
        ----------
        slope, point : ndarray of shape (n,)
            The gradient and the coefficients. The block has the rows where either is not zero.
        """
        if self.regular:
            return float(np.linalg.norm(self.inverse @ slope))
        kept = (point != 0) | (slope != 0)
        if not kept.any():
            return 0.0
        return float(np.sqrt(max(slope[kept] @ self._block(kept).solve(slope[kept]), 0.0)))

    def _block(self, kept: NDArray[np.bool_]) -> Factor:
        columns = self.factor[:, kept]
        return Factor.of(columns.T @ columns)

    def minimise(
        self,
        linear: FloatArray,
        l1: float,
        *,
        positive: bool,
        start: FloatArray,
        gap: float,
    ) -> FloatArray:
        """Return the minimiser.

        Parameters
        ----------
        linear : ndarray of shape (n,)
            The linear term h.
        l1 : float
            Strength of the l1 norm, at least 0.
        positive : bool
            Whether all coefficients must be at least 0.
        start : ndarray of shape (n,)
            Initial coefficients of coordinate descent.
        gap : float
            Duality gap to reach, in units of the objective.
        """
        target = self.inverse @ linear
        if not len(target):
            return np.zeros_like(start)
        if l1 == 0.0:
            if positive:
                return np.asarray(optimize.nnls(self.factor, target)[0])
            return np.asarray(self.inverse.T @ target)
        size = float(target @ target)
        if size == 0.0:
            return np.zeros_like(start)
        tol = max(gap / size, _ROUNDING)
        # Checks of the arguments would take longer than the sweeps over few columns.
        with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, path, gaps = enet_path(
                self.factor,
                target,
                l1_ratio=1.0,
                alphas=[l1 / len(target)],
                precompute=False,
                coef_init=start.copy(),
                positive=positive,
                check_input=False,
                max_iter=_SWEEPS,
                tol=tol,
            )
        coef: FloatArray = path[:, 0]
        if gaps[0] * len(target) <= tol * size:
            return self._solve_for_signs(linear, l1, coef)
        gram = self.factor.T @ self.factor
        return polish(gram, linear, l1, coef, positive=positive)

    def _solve_for_signs(self, linear: FloatArray, l1: float, coef: FloatArray) -> FloatArray:
        """Return the minimiser if it has the signs with which coordinate descent ended.

        With a duality gap, coefficients have errors of about its root. For known signs, they are
        the solution of a linear system, accurate to the last digits. If this solution has other
        signs, or if the system is singular, the point is returned as it is.
        """
        active = np.flatnonzero(coef)
        if not len(active):
            return np.asarray(coef)
        block = self._block(coef != 0)
        exact_active = block.solve(linear[active] - l1 * np.sign(coef[active]))
        if block.rank < len(active) or not np.all(exact_active * coef[active] > 0):
            return np.asarray(coef)
        exact = np.zeros_like(coef)
        exact[active] = exact_active
        return exact
