"""The quantity that ``tol`` bounds: the largest error of a coefficient, without units.

A Newton decrement ``l`` is a distance to the minimiser in the metric of the Hessian H of the mean
loss. It bounds the error of each coefficient: ``|dw_j| <= l sqrt((H^-1)_jj)``. Errors are measured
in standard units of their columns, ``sd_j |dw_j|``. The largest of them is divided by the largest
``sd_j |w_j|``: over all outputs of a classifier together, and for each target of least squares
separately. Intercepts are left out: with centred columns their errors are no larger.
"""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.problem import Problem

#: Errors are divided by at least this share of the change that a decrement of one allows. A smaller
#: coefficient changes the mean loss by about the square of the share, which is rounding error.
_SMALLEST_SHARE = 1e-6


def error_of_decrement(
    problem: Problem,
    parameters: FloatArray,
    variance: FloatArray,
    inverse_diagonal: FloatArray,
) -> float:
    """Return the largest relative error of a coefficient that a Newton decrement of one allows.

    Parameters
    ----------
    problem : Problem
        Provides the order of the parameters, and the unit of a decrement.
    parameters : ndarray of shape (n_parameters,)
        The parameters whose errors are bounded.
    variance : ndarray of shape (n_features,)
        Variances of the columns.
    inverse_diagonal : ndarray of shape (n_parameters,)
        Diagonal of the inverse Hessian of the mean loss, or of an approximation to it.

    Returns
    -------
    float
        1 if no column varies: then no coefficient can be wrong, and the decrement itself is the
        error.
    """
    packing = problem.packing
    spread = np.sqrt(variance)

    def largest(sizes: FloatArray) -> FloatArray:
        """Return the largest size, in standard units, of each output, or of all outputs."""
        coefs = sizes.reshape(packing.shape)[:, : packing.n_features] * spread
        groups = coefs if problem.loss.quadratic else coefs.reshape(1, -1)
        return np.asarray(groups.max(axis=1, initial=0.0))

    allowed = problem.unit * largest(np.sqrt(np.maximum(inverse_diagonal, 0.0)))
    varies = allowed > 0.0
    if not varies.any():
        return 1.0
    relative = allowed / np.maximum(largest(np.abs(parameters)), _SMALLEST_SHARE * allowed)
    return float(relative[varies].max())
