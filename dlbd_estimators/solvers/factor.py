"""Solve with a symmetric matrix whose rows and columns may have any scale."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.centring import Centring
from dlbd_estimators.solvers.objective import Objective

#: A Hessian and its factor must fit beside the blocks: 4,000 parameters are 128 MB.
LARGEST_HESSIAN = 4000
#: A float32 Hessian gives way to float64 where its error could slow the convergence.
_WORST_ERROR = 1e-3

#: Columns are told to be dependent from this condition number of a Hessian on.
_DEPENDENT = 1e10
#: From this condition number on a matrix is singular: what is small in it is rounding.
_SINGULAR = 1e14


def rounding(dtype: str) -> float:
    """Error of a Hessian formed in ``dtype``, relative to its size."""
    return 4 * float(np.finfo(dtype).eps)  # of the entries, and of the products of a tile


def is_rough(factor: Factor, dtype: str) -> bool:
    """Tell whether a Hessian formed in float32 should be formed again in float64."""
    return dtype != "float64" and rounding(dtype) * factor.condition > _WORST_ERROR


def dependent_columns(objective: Objective, factor: Factor) -> tuple[int, ...]:
    """Return the columns that are nearest to being dependent on one another, by a Hessian."""
    if not objective.of_columns or factor.condition <= _DEPENDENT:
        return ()
    width = objective.packing.shape[1]
    columns = {index % width for index in factor.dependent()}
    return tuple(sorted(columns - {objective.packing.n_features}))


class Factor:
    """A factorisation of a symmetric positive semi-definite matrix.

    Given the means of the columns, the matrix is written for centred features first: a
    column far from zero is otherwise nearly the constant column, and the condition number says
    so. Then it is brought to a unit diagonal (the best diagonal scaling to within a factor of
    its order; van der Sluis 1969), so that units of the columns cost no digits. A singular
    matrix is inverted on its range, for the step of least norm.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Not changed.
    centring : Centring, optional
        Change of variables to centred features.

    Attributes
    ----------
    condition : float
        Estimated condition number after scaling; infinite for a singular matrix.
    condition_on_range : float
        The same without the directions in which the matrix is singular.
    rank : int
        Number of directions in which it is not.

    Raises
    ------
    Diverged
        The matrix holds infinities or NaN.
    """

    def __init__(self, matrix: FloatArray, centring: Centring | None = None) -> None:
        if not np.isfinite(matrix).all():
            raise Diverged("The Hessian overflowed. Scale the columns of X.")
        self._centring = centring
        if centring is not None:
            matrix = centring.matrix(matrix)
        diagonal = np.diag(matrix).copy()
        diagonal[~(diagonal > 0)] = 1.0
        self._scale = 1.0 / np.sqrt(diagonal)
        scaled = matrix * self._scale * self._scale[:, None]
        self._inverse: FloatArray | None = None
        self._null: FloatArray = np.zeros((len(matrix), 0))
        self._weakest: FloatArray = self._null
        self.condition = self.condition_on_range = np.inf
        self.rank = len(matrix)
        try:
            self._cholesky = linalg.cholesky(scaled, lower=True, check_finite=False)
        except linalg.LinAlgError:
            self._invert_on_range(scaled)
            return
        norm = float(np.abs(scaled).sum(axis=0).max())
        reciprocal, _ = lapack.dpocon(self._cholesky, norm, uplo="L")
        self.condition = 1.0 / max(float(reciprocal), np.finfo(float).tiny)
        self.condition_on_range = self.condition
        if self.condition > _SINGULAR:
            self._invert_on_range(scaled)

    def solve(self, right: FloatArray) -> FloatArray:
        """Return the solution for a right-hand side (n,) or (n, k)."""
        if self._centring is not None:
            solution = self._solve(self._centring.gradient(right))
            return self._centring.parameters(solution)
        return self._solve(right)

    def unseen(self, right: FloatArray) -> float:
        """Return the size of what a right-hand side (n,) has outside the matrix's range.

        In units in which the diagonal is one. What stands there, :meth:`solve` passes over.
        """
        if self._centring is not None:
            right = self._centring.gradient(right)
        return float(np.linalg.norm(self._null.T @ (self._scale * right)))

    def dependent(self) -> tuple[int, ...]:
        """Return the rows that are nearest to being linearly dependent on one another.

        They are those with a share in the null space, or in the eigenvector of the least
        eigenvalue, which inverse iteration finds.
        """
        if self._inverse is not None:
            share = np.sqrt((self._weakest**2).sum(axis=1))
        else:
            share = np.random.default_rng(0).normal(size=len(self._scale))
            for _ in range(10):
                share = linalg.cho_solve((self._cholesky, True), share, check_finite=False)
                share /= np.linalg.norm(share)
        large = np.abs(share) >= 0.1 * np.abs(share).max()
        return tuple(int(index) for index in np.flatnonzero(large))

    def _solve(self, right: FloatArray) -> FloatArray:
        if self._inverse is not None:
            return self._inverse @ right
        scale = self._scale if right.ndim == 1 else self._scale[:, None]
        solution = linalg.cho_solve((self._cholesky, True), right * scale, check_finite=False)
        return np.asarray(solution * scale)

    def _invert_on_range(self, scaled: FloatArray) -> None:
        # What is singular is told after scaling, where columns of small units are not
        # taken for noise; the norm to be least is that of the unscaled solution.
        values, vectors = linalg.eigh(scaled, check_finite=False)
        kept = values > len(values) / _SINGULAR * max(values[-1], 0.0)
        self.rank = int(np.count_nonzero(kept))
        self._null = vectors[:, ~kept]
        self._weakest = vectors[:, : max(self._null.shape[1], 1)]
        vectors = vectors * self._scale[:, None]
        null, basis = vectors[:, ~kept], vectors[:, kept]
        q, r = linalg.qr(null, mode="economic", check_finite=False)
        # By columns of `null`, not of `q`: only these are null to the last digit of each row.
        basis -= null @ linalg.solve_triangular(r, q.T @ basis, check_finite=False)
        self._inverse = np.asarray((basis / values[kept]) @ basis.T)
        if kept.any():
            self.condition_on_range = float(values[-1] / values[kept][0])
