"""What ``tol`` bounds: the largest error of a coefficient, free of the units of X and y.

A Newton decrement ``l`` is a distance to the minimiser in the metric of the Hessian H of the mean
loss, and no coefficient is further off than ``|dw_j| <= l sqrt((H^-1)_jj)``. Each of these is
measured in standard units of its column, ``sd_j |dw_j|``, and the largest of these is divided by
the largest ``sd_j |w_j|``: of all outputs of a classifier together, and of each target of least
squares for itself. Intercepts are left out: with centred columns they are no further off.
"""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.problem import Problem

#: The largest coefficient counts as at least this share of what a decrement of one would move it
#: by. A smaller one changes the mean loss by about the square of the share, which rounding hides.
_FAINT = 1e-6


def error_of_decrement(
    problem: Problem,
    parameters: FloatArray,
    variance: FloatArray,
    inverse_diagonal: FloatArray,
) -> float:
    """Return the error of the worst coefficient for a decrement of one.

    Parameters
    ----------
    problem : Problem
        Gives the packing, and the unit that decrements are in.
    parameters : ndarray of shape (n_parameters,)
        Whose errors are meant.
    variance : ndarray of shape (n_features,)
        Of the columns.
    inverse_diagonal : ndarray of shape (n_parameters,)
        Of the inverse of the Hessian of the mean loss, or of what stands for it.

    Returns
    -------
    float
        1 where no column varies: then there is no coefficient to be off, and the decrement itself
        is the error.
    """
    packing = problem.packing
    spread = np.sqrt(variance)

    def largest(values: FloatArray) -> FloatArray:
        coef = np.abs(values).reshape(packing.shape)[:, : packing.n_features]
        each = (coef * spread).max(axis=1, initial=0.0)
        return np.asarray(each if problem.loss.quadratic else each.max(keepdims=True))

    reach = problem.unit * largest(np.sqrt(np.maximum(inverse_diagonal, 0.0)))
    moved = reach > 0.0
    if not moved.any():
        return 1.0
    return float((reach / np.maximum(largest(parameters), _FAINT * reach))[moved].max())
