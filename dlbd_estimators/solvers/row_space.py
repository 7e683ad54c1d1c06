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

import numpy as np
from scipy import linalg

from dlbd_estimators.blocks import ArrayLoader, from_arrays
from dlbd_estimators.execution.base import Executor
from dlbd_estimators.execution.blas import single_threaded_blas
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.packing import Packing
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.objective import Objective


class RowSpace(Objective):
    """An objective over arrays in memory, in coordinates of their row space.

    Parameters
    ----------
    whole : Objective
        With more columns than rows.
    X : ndarray of shape (n_rows, n_features)
        The features of all its rows; finite.
    executor : Executor
        Will run the passes.
    """

    of_columns = False
    passes_before = 1

    def __init__(self, whole: Objective, X: FloatArray, executor: Executor) -> None:
        loader = whole.blocks.loader
        assert isinstance(loader, ArrayLoader)
        self._whole = whole.packing
        rows = X.astype(np.float64)
        self._origin = rows.mean(axis=0) if whole.packing.fit_intercept else np.zeros(X.shape[1])
        rows -= self._origin
        with single_threaded_blas:
            # The transpose of rows that lie one after the other is what LAPACK takes as it is.
            self._basis, triangle = linalg.qr(
                rows.T, mode="economic", overwrite_a=True, check_finite=False
            )
            left, scale, self._turn = linalg.svd(triangle.T, check_finite=False)
        kept = scale > scale[0] * np.finfo(float).eps * max(X.shape)
        kept[0] = True  # of constant columns one remains, which is zero
        self._turn = self._turn[: len(scale)][kept]
        reduced = left[:, : len(scale)][:, kept] * scale[kept]
        blocks = from_arrays(reduced, loader.y, loader.weight).encoded(whole.blocks.encoding)
        super().__init__(
            blocks,
            whole.loss,
            whole.penalty,
            Packing(whole.packing.n_outputs, reduced.shape[1], whole.packing.fit_intercept),
            name=whole.name,
            total_weight=whole.total_weight,
            room=executor.matrix_room(blocks),
        )
        self.bytes_before = X.nbytes

    def original(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for the features as they are."""
        coef, intercept = self.packing.unpack(super().original(parameters))
        coef = (self._basis @ (self._turn.T @ coef.T)).T
        return self._whole.pack(coef, intercept - coef @ self._origin)

    def coordinates(self, parameters: FloatArray) -> FloatArray:
        """Return the coordinates of parameters, less what is across the row space."""
        coef, intercept = self._whole.unpack(parameters)
        along = (self._turn @ (self._basis.T @ coef.T)).T
        return self.packing.pack(along, intercept + coef @ self._origin)


def row_space(objective: Objective, executor: Executor) -> RowSpace | None:
    """Return an objective in coordinates of its row space, where that is fewer, and worth it.

    None where the rows lie on disk, are more than the columns, or hold NaN, which the next pass
    will name; and for least squares of columns few enough for a matrix of theirs.
    """
    blocks, packing = objective.blocks, objective.packing
    if objective.l1 is not None or not isinstance(blocks.loader, ArrayLoader):
        return None
    X = blocks.loader.X
    if not 0 < len(X) < min(packing.n_features, LARGEST_HESSIAN):
        return None
    if objective.loss.quadratic and packing.n_features <= LARGEST_HESSIAN:
        return None
    return RowSpace(objective, X, executor) if np.isfinite(X).all() else None
