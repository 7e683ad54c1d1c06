"""Compute the covariance of a model's parameters from sums over rows.

With B the bread (the Hessian of the loss) and P the second derivatives of the penalty, the
parameters of another random sample of rows differ by ``(B + P)^-1 sum_i s_i g_i z_i``. So their
covariance is ``(B + P)^-1 M (B + P)^-1``, where M is the covariance of that sum. For row i, ``z_i``
is the centred features and the constant 1, ``s_i`` the weight, ``g_i`` the derivative of the loss
and ``l_i`` the leverage (:mod:`dlbd_estimators.kernels.sandwich`). There are n rows, p parameters
and G groups. With several outputs, ``s_i g_i z_i`` stands for the scores of all of them:

=========== ===================================================================
covariance  M
=========== ===================================================================
classical   ``scale B``, if the model's variance of each row is correct
HC0, HC1    ``sum g_i^2 z_i z_i^T``; HC1 times ``n / (n - p)``     (White 1980)
HC2, HC3    as HC0, with ``g_i^2 / (1 - l_i)`` or ``g_i^2 / (1 - l_i)^2``
            instead of ``g_i^2`` (MacKinnon and White 1985)
clustered   ``sum_k u_k u_k^T``, where u_k is the sum over group k, times
            ``G / (G - 1) (n - 1) / (n - p)``       (Liang and Zeger 1986)
=========== ===================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.sandwich import SandwichSums
from dlbd_estimators.linear_model.inference.fitted_model import FittedModel
from dlbd_estimators.solvers import check_weight
from dlbd_estimators.solvers.factor import Factor

#: Largest condition number of the bread. Above it, standard errors have less than about six digits.
_WORST_CONDITION = 1e10
#: Allowed distance of a coefficient from the minimum, in standard errors.
_FAR_OFF = 0.01
#: Allowed distance in addition, relative to the largest coefficient, both times the spread of their
#: columns. It allows for the ``tol`` of the fit.
_TOLERATED = 1e-6


@dataclass(frozen=True)
class InverseBread:
    """The inverse of the bread plus the penalty's second derivatives.

    Attributes
    ----------
    centre : ndarray of shape (n_features,)
        Centre of the features in the bread.
    bread, inverse : ndarray of shape (n_parameters, n_parameters)
        The bread without the penalty, and the inverse of their sum.
    root : ndarray of shape (n_parameters, n_parameters)
        ``root root^T`` is the inverse.
    n_effective : float
        Effective number of parameters, which a penalty reduces.
    """

    centre: FloatArray
    bread: FloatArray
    inverse: FloatArray
    root: FloatArray
    n_effective: float

    def covariance(self, meat: FloatArray) -> FloatArray:
        """Return the covariance of the parameters, given the covariance of the sum of scores."""
        half = self.inverse @ meat @ self.inverse
        return 0.5 * (half + half.T)


def invert(fitted: FittedModel, bread: FloatArray, centre: FloatArray) -> InverseBread:
    """Invert the sum of the bread and the penalty's second derivatives.

    Raises
    ------
    ValueError
        Columns are linearly dependent, so that their coefficients have no standard errors.
    """
    factor = Factor.of(bread + fitted.penalty)
    if factor.inverse is not None or factor.condition > _WORST_CONDITION:
        columns = fitted.coefficient_names
        named = ", ".join(repr(columns[index]) for index in factor.dependent())
        raise ValueError(
            f"Columns are linearly dependent, or nearly: {named}. Their coefficients have no "
            f"standard errors. Leave some of these columns out. (If the classes can be separated "
            f"without error, no coefficient has a standard error.)"
        )
    identity = np.eye(len(bread))
    root = linalg.solve_triangular(factor.cholesky, identity, lower=True, check_finite=False).T
    root *= factor.scale[:, None]
    inverse, n_effective = root @ root.T, float(len(bread))
    if fitted.strength > 0:
        n_effective = float(np.trace(inverse @ bread))
    return InverseBread(centre, bread, inverse, root, n_effective)


def check_minimum(fitted: FittedModel, sums: SandwichSums, inverted: InverseBread) -> None:
    """Check that a model minimises its objective on these rows.

    Raises
    ------
    ValueError
        It does not. The message names the coefficient that is furthest from the minimum.
    """
    assert sums.bread is not None
    packing, n = fitted.packing, fitted.packing.n_features
    rows = fitted.parameters.reshape(packing.shape)
    step = inverted.inverse @ (sums.gradient + fitted.penalty @ fitted.parameters)
    scale = sums.squares / max(sums.weight, 1.0) if fitted.is_homoscedastic else 1.0
    error = np.sqrt(scale * np.diag(inverted.inverse))
    spread = np.sqrt(np.maximum(np.diag(sums.bread), 0.0))
    sizes = np.abs(rows) * spread.reshape(packing.shape)
    largest = float(np.max(sizes[:, :n], initial=0.0))
    allowed = _FAR_OFF * error + _TOLERATED * largest / np.where(spread > 0, spread, 1.0)
    if packing.fit_intercept:  # the intercept for features that are not centred has rounding errors
        terms = np.abs(rows[:, :n]) @ np.abs(inverted.centre) + np.abs(rows[:, n])
        allowed.reshape(packing.shape)[:, n] += 64 * np.finfo(float).eps * terms
    off = np.abs(step) / np.maximum(allowed, np.finfo(float).tiny)
    worst = int(np.argmax(off))
    if off[worst] > 1.0:
        name = fitted.coefficient_names[worst]
        raise ValueError(
            f"The model is not the minimum on these rows: the coefficient of {name!r} is off by "
            f"{np.abs(step[worst]) / max(error[worst], np.finfo(float).tiny):.2g} standard errors. "
            f"Pass the X, y and sample_weight that it was fitted to; if that fit did not converge, "
            f"fit it again with more steps."
        )


def check_counts(sums: SandwichSums, n: float, n_effective: float) -> None:
    """Check that there are more rows than coefficients.

    Raises
    ------
    ValueError
        There are too few rows, or all weights are zero.
    """
    check_weight(sums.weight, sums.n_rows)
    if not n > n_effective:
        raise ValueError(
            f"{n:g} rows with weights above 0 are too few for the standard errors of "
            f"{n_effective:g} coefficients: there must be more rows than coefficients."
        )


def clustered(sums: SandwichSums, n: float, n_effective: float) -> FloatArray:
    """Return the covariance of the sum of scores, if scores of a group depend on one another.

    Raises
    ------
    ValueError
        There are fewer than two groups.
    """
    n_groups = len(sums.groups)
    if n_groups < 2:
        raise ValueError(
            "covariance='clustered' needs two groups or more with rows of weight above 0. Pass a "
            "column of smaller groups: rows of the same group may depend on one another."
        )
    correction = n_groups / (n_groups - 1.0) * (n - 1.0) / (n - n_effective)
    return np.asarray(correction * (sums.scores.T @ sums.scores))
