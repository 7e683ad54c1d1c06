"""Problems with more columns than rows, rewritten in as many coordinates as there are rows.

The predictions of a linear model depend only on the projection of the coefficients on the row
space, and an L2 penalty makes the orthogonal part zero: the minimiser lies in the row space. Let
the centred rows be ``X - c = U S (Q V).T``, where ``U`` and ``Q V`` have orthonormal columns. Then
the coefficients are ``Q V z`` and have the norm of ``z``; ``z`` are the coefficients of the columns
of ``U S``, at most one for each row. Without a penalty this gives the minimiser of least norm.

The columns of ``U S`` are orthogonal. After scaling them to the same norm, only the weights of the
rows cause a condition number above one. The factorisation is a Householder QR decomposition of the
rows: the Gram matrix of the rows would have the square of their condition number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy import linalg

from dlbd_estimators.blocks.block import ArrayLoader, from_arrays
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.matrix_memory import room_for
from dlbd_estimators.solvers.problem import Problem


@dataclass(frozen=True, eq=False, kw_only=True)
class RowSpace(Problem):
    """An objective over arrays in memory, in coordinates of their row space.

    Parameters
    ----------
    original_packing : Packing
        Order of the parameters for the original features.
    origin : ndarray of shape (n_features,)
        The vector ``c``, which is subtracted from the rows.
    basis, rotation : ndarray of shape (n_features, n_rows), (n_coordinates, n_rows)
        The matrices ``Q`` and ``V.T``.
    """

    of_columns: ClassVar[bool] = False

    original_packing: Packing
    origin: FloatArray = field(repr=False)
    basis: FloatArray = field(repr=False)
    rotation: FloatArray = field(repr=False)

    @classmethod
    def of(cls, problem: Problem, X: FloatArray, executor: Executor) -> RowSpace:
        """Factor the rows, and return the problem in coordinates of their row space.

        Parameters
        ----------
        problem : Problem
            A problem with more columns than rows.
        X : ndarray of shape (n_rows, n_features)
            The features of all its rows; they are finite.
        executor : Executor
            Will run the passes.
        """
        loader, packing = problem.blocks.loader, problem.packing
        assert isinstance(loader, ArrayLoader)
        rows = X.astype(np.float64)
        origin = rows.mean(axis=0) if packing.fit_intercept else np.zeros(X.shape[1])
        rows -= origin
        with single_threaded_blas:
            # The transpose of C-ordered rows is in Fortran order: LAPACK needs no copy of it.
            basis, triangle = linalg.qr(
                rows.T, mode="economic", overwrite_a=True, check_finite=False
            )
            left, scale, rotation = linalg.svd(triangle.T, check_finite=False)
        kept = scale > scale[0] * np.finfo(float).eps * max(X.shape)
        kept[0] = True  # if all columns are constant, one coordinate remains, which is zero
        reduced = left[:, : len(scale)][:, kept] * scale[kept]
        blocks = from_arrays(reduced, loader.y, loader.weight).encoded(problem.blocks.encoding)
        inner = Packing(packing.n_outputs, reduced.shape[1], packing.fit_intercept)
        return cls(
            blocks,
            problem.loss,
            problem.penalty,
            inner,
            name=problem.name,
            known=Known(problem.total_weight),
            room=room_for(executor, blocks, inner),
            passes_before=1,
            bytes_before=X.nbytes,
            original_packing=packing,
            origin=origin,
            basis=basis,
            rotation=rotation[: len(scale)][kept],
        )

    def original(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for the original features."""
        coef, intercept = self.packing.unpack(super().original(parameters))
        coef = (self.basis @ (self.rotation.T @ coef.T)).T
        return self.original_packing.pack(coef, intercept - coef @ self.origin)

    def coordinates(self, parameters: FloatArray) -> FloatArray:
        """Return the coordinates of the projection of parameters on the row space."""
        coef, intercept = self.original_packing.unpack(parameters)
        along = (self.rotation @ (self.basis.T @ coef.T)).T
        return self.packing.pack(along, intercept + coef @ self.origin)


def row_space(problem: Problem, executor: Executor) -> RowSpace | None:
    """Return a problem in coordinates of its row space, or None if this does not save time.

    The result is None if the rows are not arrays in memory, or if there are not fewer rows than
    columns, or too many rows for a matrix. It is None if X holds NaN or infinity, which the next
    pass will report. It is also None for an l1 penalty, and for least squares with so few columns
    that their matrix fits in memory.
    """
    blocks, packing = problem.blocks, problem.packing
    if problem.l1 is not None or not isinstance(blocks.loader, ArrayLoader):
        return None
    X = blocks.loader.X
    if not 0 < len(X) < min(packing.n_features, LARGEST_HESSIAN):
        return None
    if problem.loss.quadratic and packing.n_features <= LARGEST_HESSIAN:
        return None
    return RowSpace.of(problem, X, executor) if np.isfinite(X).all() else None
