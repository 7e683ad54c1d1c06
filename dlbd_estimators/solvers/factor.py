"""Solve linear systems with a symmetric matrix whose rows and columns may have any scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.problem import Problem

#: A Hessian and its factor must fit in memory beside the blocks: 4,000 parameters are 128 MB.
LARGEST_HESSIAN = 4000
#: Largest relative error of a solution with a float32 Hessian. A larger one could slow the
#: convergence, so that the Hessian is formed again in float64.
_WORST_ERROR = 1e-3
#: Above this condition number of a Hessian, its columns are reported as dependent.
_DEPENDENT = 1e10
#: Above this condition number, a matrix counts as singular: its smallest eigenvalues are rounding.
_SINGULAR = 1e14
#: The smallest normal float64.
_TINY = float(np.finfo(np.float64).tiny)
#: The machine epsilon of the dtypes of a Hessian.
_EPSILON = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}


def rounding(dtype: str) -> float:
    """Return the error of a Hessian formed in ``dtype``, relative to its size."""
    return 4 * _EPSILON[dtype]  # rounding of the entries, and of a tile's products


def needs_float64(factor: Factor, dtype: str) -> bool:
    """Return whether a Hessian formed in float32 should be formed again in float64."""
    return dtype != "float64" and rounding(dtype) * factor.condition > _WORST_ERROR


def dependent_columns(problem: Problem, factor: Factor) -> tuple[int, ...]:
    """Return the columns that are most nearly linearly dependent, according to a Hessian's factor.

    The result is empty if the Hessian is not ill-conditioned.
    """
    if not problem.of_columns or factor.condition <= _DEPENDENT:
        return ()
    width = problem.packing.shape[1]
    columns = {index % width for index in factor.dependent()}
    return tuple(sorted(columns - {problem.packing.n_features}))


@dataclass(frozen=True)
class Factor:
    """A factorisation of a symmetric positive semi-definite matrix.

    If the means of the columns are given, the matrix is first rewritten for centred features.
    Otherwise a column far from zero is nearly collinear with the constant column, and the
    condition number is large. Then the matrix is scaled to a unit diagonal (the best diagonal
    scaling to within a factor of its order; van der Sluis 1969), so that the units of the columns
    cost no digits. A singular matrix is inverted on its range, which gives the solution of least
    norm.

    Attributes
    ----------
    scale : ndarray of shape (n,)
        Diagonal scaling, after which the matrix has a unit diagonal.
    cholesky : ndarray of shape (n, n)
        Lower Cholesky factor of the scaled matrix; not used if the matrix is singular.
    centring : Centring or None
        Change of variables to centred features.
    inverse : ndarray of shape (n, n) or None
        Inverse of a singular matrix on its range; None for a regular matrix.
    null, weakest : ndarray of shape (n, n_null), (n, n_weakest)
        Basis of the null space of the scaled matrix, and the eigenvectors of its smallest
        eigenvalues (at least one); both have no columns for a regular matrix.
    condition : float
        Estimated condition number after scaling; infinite if the Cholesky factorisation failed.
    condition_on_range : float
        Condition number on the range, that is, without the null space.
    rank : int
        Dimension of the range.
    """

    shapes: ClassVar[Shapes] = {
        "scale": ("n",), "cholesky": ("n", "n"), "inverse": ("n", "n"), "null": ("n", "n_null"),
        "weakest": ("n", "n_weakest"),
    }  # fmt: skip

    scale: FloatArray
    cholesky: FloatArray
    centring: Centring | None
    inverse: FloatArray | None
    null: FloatArray
    weakest: FloatArray
    condition: float
    condition_on_range: float
    rank: int

    @classmethod
    def of(cls, matrix: FloatArray, centring: Centring | None = None) -> Factor:
        """Factor a symmetric positive semi-definite matrix.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            The matrix; it is not changed.
        centring : Centring, optional
            Change of variables to centred features.

        Raises
        ------
        Diverged
            The matrix holds infinities or NaN.
        """
        if not np.isfinite(matrix).all():
            raise Diverged("The Hessian overflowed. Scale the columns of X.")
        if centring is not None:
            matrix = centring.matrix(matrix)
        diagonal = matrix.diagonal()
        scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = matrix * scale
        scaled *= scale[:, None]
        # LAPACK's own functions: those of `linalg` accept arrays of any dtype and number of axes,
        # and take several times as long for twenty columns.
        cholesky, failed_at = lapack.dpotrf(scaled, lower=True, clean=True)
        if failed_at:
            return cls._on_range(scaled, scale, centring, np.zeros((0, 0)), np.inf)
        norm = float(np.abs(scaled).sum(axis=0).max())
        reciprocal, _ = lapack.dpocon(cholesky, norm, uplo="L")
        condition = 1.0 / max(float(reciprocal), _TINY)
        if condition > _SINGULAR:
            return cls._on_range(scaled, scale, centring, cholesky, condition)
        empty = np.zeros((len(matrix), 0))
        rank = len(matrix)
        return cls(scale, cholesky, centring, None, empty, empty, condition, condition, rank)

    @classmethod
    def _on_range(
        cls,
        scaled: FloatArray,
        scale: FloatArray,
        centring: Centring | None,
        cholesky: FloatArray,
        condition: float,
    ) -> Factor:
        # Singularity is judged after scaling: otherwise columns in small units would look like
        # noise. Of all solutions, the one whose norm before scaling is least is taken.
        values, vectors = linalg.eigh(scaled, check_finite=False)
        kept = values > len(values) / _SINGULAR * max(values[-1], 0.0)
        singular = vectors[:, ~kept]
        weakest = vectors[:, : max(singular.shape[1], 1)]
        vectors = vectors * scale[:, None]
        null, basis = vectors[:, ~kept], vectors[:, kept]
        q, r = linalg.qr(null, mode="economic", check_finite=False)
        # Subtract columns of `null` rather than of `q`: rows may differ in scale, and only the
        # columns of `null` are accurate to the last digit in each row.
        basis -= null @ linalg.solve_triangular(r, q.T @ basis, check_finite=False)
        inverse = np.asarray((basis / values[kept]) @ basis.T)
        on_range = float(values[-1] / values[kept][0]) if kept.any() else condition
        rank = int(np.count_nonzero(kept))
        return cls(scale, cholesky, centring, inverse, singular, weakest, condition, on_range, rank)

    def solve(self, right: FloatArray) -> FloatArray:
        """Return the solution for a right-hand side (n,) or (n, k)."""
        if self.centring is not None:
            solution = self._solve(self.centring.gradient(right))
            return self.centring.parameters(solution)
        return self._solve(right)

    def square_norm(self, vector: FloatArray) -> float:
        """Return the product of a regular matrix with a vector (n,) from both sides."""
        if self.centring is not None:
            vector = self.centring.centred(vector)
        return float(np.sum((self.cholesky.T @ (vector / self.scale)) ** 2))

    def inverse_diagonal(self) -> FloatArray:
        """Return the diagonal of the inverse for centred features.

        The inverse of a singular matrix is the inverse on its range.
        """
        if self.inverse is not None:
            return np.diag(self.inverse).copy()
        inverse, _ = lapack.dpotri(self.cholesky, lower=True)
        return np.asarray(inverse.diagonal() * self.scale**2)

    def variances(self, covariance: FloatArray) -> FloatArray:
        """Return the variances of a solution's entries, for centred features.

        Parameters
        ----------
        covariance : ndarray of shape (n, n)
            Covariance of the right-hand side.
        """
        if self.centring is not None:
            covariance = self.centring.matrix(covariance)
        half = self._solve(covariance)
        return np.maximum(np.diag(self._solve(half.T)), 0.0)

    def null_component_norm(self, right: FloatArray) -> float:
        """Return the norm of the part of a right-hand side (n,) outside the matrix's range.

        It is measured after scaling the matrix to a unit diagonal. :meth:`solve` ignores this part.
        """
        if self.centring is not None:
            right = self.centring.gradient(right)
        return float(np.linalg.norm(self.null.T @ (self.scale * right)))

    def dependent(self) -> tuple[int, ...]:
        """Return the rows that are most nearly linearly dependent on one another.

        These rows have large entries in the null space or, for a regular matrix, in the eigenvector
        of the smallest eigenvalue, which inverse iteration finds.
        """
        if self.inverse is not None:
            share = np.sqrt((self.weakest**2).sum(axis=1))
        else:
            share = np.random.default_rng(0).normal(size=len(self.scale))
            for _ in range(10):
                share = linalg.cho_solve((self.cholesky, True), share, check_finite=False)
                share /= np.linalg.norm(share)
        large = np.abs(share) >= 0.1 * np.abs(share).max()
        return tuple(int(index) for index in np.flatnonzero(large))

    def _solve(self, right: FloatArray) -> FloatArray:
        if self.inverse is not None:
            return self.inverse @ right
        scale = self.scale if right.ndim == 1 else self.scale[:, None]
        solution, _ = lapack.dpotrs(self.cholesky, right * scale, lower=True, overwrite_b=True)
        return np.asarray(solution * scale)
