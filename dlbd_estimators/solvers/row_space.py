"""More columns than rows: the same problem in as many coordinates as there are rows.

What a linear model predicts depends on the coefficients along its rows alone, and an L2 penalty
makes them zero across: the minimiser lies in the row space. With centred rows
``X - c = U S (Q V).T``, of orthonormal columns, the coefficients are ``Q V z``, their norm is that
of ``z``, and ``z`` are the coefficients of the n columns of ``U S``. Without a penalty that is the
minimiser of least norm.

The columns of ``U S`` are orthogonal, so that bringing them to one scale leaves no condition number
but that of the rows' own weights. The factorisation is that of Householder (QR) and not by products
of rows, which would square the condition number.
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
    whole : Packing
        Of the parameters for the features as they are.
    origin : ndarray of shape (n_features,)
        What rows are centred by.
    basis, turn : ndarray of shape (n_features, n_rows), (n_coordinates, n_rows)
        Q, and V transposed.
    """

    of_columns: ClassVar[bool] = False

    whole: Packing
    origin: FloatArray = field(repr=False)
    basis: FloatArray = field(repr=False)
    turn: FloatArray = field(repr=False)

    @classmethod
    def of(cls, whole: Problem, X: FloatArray, executor: Executor) -> RowSpace:
        """Factor the rows.

        Parameters
        ----------
        whole : Problem
            With more columns than rows.
        X : ndarray of shape (n_rows, n_features)
            The features of all its rows; finite.
        executor : Executor
            Will run the passes.
        """
        loader, packing = whole.blocks.loader, whole.packing
        assert isinstance(loader, ArrayLoader)
        rows = X.astype(np.float64)
        origin = rows.mean(axis=0) if packing.fit_intercept else np.zeros(X.shape[1])
        rows -= origin
        with single_threaded_blas:
            # The transpose of rows that lie one after the other is what LAPACK takes as it is.
            basis, triangle = linalg.qr(
                rows.T, mode="economic", overwrite_a=True, check_finite=False
            )
            left, scale, turn = linalg.svd(triangle.T, check_finite=False)
        kept = scale > scale[0] * np.finfo(float).eps * max(X.shape)
        kept[0] = True  # of constant columns one remains, which is zero
        reduced = left[:, : len(scale)][:, kept] * scale[kept]
        blocks = from_arrays(reduced, loader.y, loader.weight).encoded(whole.blocks.encoding)
        inner = Packing(packing.n_outputs, reduced.shape[1], packing.fit_intercept)
        return cls(
            blocks,
            whole.loss,
            whole.penalty,
            inner,
            name=whole.name,
            known=Known(whole.total_weight),
            room=room_for(executor, blocks, inner),
            passes_before=1,
            bytes_before=X.nbytes,
            whole=packing,
            origin=origin,
            basis=basis,
            turn=turn[: len(scale)][kept],
        )

    def original(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for the features as they are."""
        coef, intercept = self.packing.unpack(super().original(parameters))
        coef = (self.basis @ (self.turn.T @ coef.T)).T
        return self.whole.pack(coef, intercept - coef @ self.origin)

    def coordinates(self, parameters: FloatArray) -> FloatArray:
        """Return the coordinates of parameters, less what is across the row space."""
        coef, intercept = self.whole.unpack(parameters)
        along = (self.turn @ (self.basis.T @ coef.T)).T
        return self.packing.pack(along, intercept + coef @ self.origin)


def row_space(problem: Problem, executor: Executor) -> RowSpace | None:
    """Return an objective in coordinates of its row space, if these are few enough to pay.

    None where the rows lie on disk, are more than the columns, or hold NaN, which the next pass
    will name; and for least squares of columns few enough for a matrix of theirs.
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
