"""From sums over rows to the covariance of a model's parameters.

With B the bread and P the penalty's second derivatives, the parameters move by
``(B + P)^-1 sum_i s_i g_i z_i`` from one draw of the rows to the next. So their covariance is
``(B + P)^-1 M (B + P)^-1``, where M is the covariance of that sum:

=========== ===================================================================
covariance  M
=========== ===================================================================
classical   ``scale B``: the model is right about the variance of each row
HC0, HC1    ``sum g_i^2 z_i z_i^T``; HC1 times ``n / (n - p)``     (White 1980)
HC2, HC3    the same with ``g_i^2 / (1 - l_i)`` and ``g_i^2 / (1 - l_i)^2``
            (MacKinnon and White 1985)
clustered   ``sum_k u_k u_k^T`` of the groups' sums u_k, times
            ``G / (G - 1) (n - 1) / (n - p)``       (Liang and Zeger 1986)
=========== ===================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.sandwich import SandwichSums
from dlbd_estimators.linear_model.inference.fitted_model import FittedModel
from dlbd_estimators.solvers import check_weight
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.moment_scores import about_zero

#: From this condition of the bread on, standard errors have fewer than about six digits.
_WORST_CONDITION = 1e10
#: A coefficient may be off the minimum by so many standard errors.
_FAR_OFF = 0.01
#: And by so much of the largest coefficient, in standard units: what a fit's ``tol`` may leave.
_TOLERATED = 1e-6


@dataclass(frozen=True)
class Inverted:
    """The bread with its penalty, inverted.

    Attributes
    ----------
    centre : ndarray of shape (n_features,)
        Of the features that it is of.
    bread, inverse : ndarray of shape (n_parameters, n_parameters)
        Without the penalty; and the inverse with it.
    root : ndarray of shape (n_parameters, n_parameters)
        ``root root^T`` is the inverse.
    n_effective : float
        Number of parameters; fewer where a penalty holds some back.
    """

    centre: FloatArray
    bread: FloatArray
    inverse: FloatArray
    root: FloatArray
    n_effective: float

    def covariance(self, meat: FloatArray) -> FloatArray:
        """Return the covariance of the parameters, given that of the sum of scores."""
        half = self.inverse @ meat @ self.inverse
        return 0.5 * (half + half.T)


def invert(fitted: FittedModel, bread: FloatArray, centre: FloatArray) -> Inverted:
    """Invert the bread with its penalty.

    Raises
    ------
    ValueError
        Columns are linearly dependent, which leaves their coefficients without standard errors.
    """
    factor = Factor.of(bread + np.diag(fitted.penalty))
    if factor.inverse is not None or factor.condition > _WORST_CONDITION:
        columns = [*fitted.names, "intercept"]
        named = ", ".join(repr(columns[index]) for index in factor.dependent())
        raise ValueError(
            f"Columns are linearly dependent on one another, or nearly: {named}. Their "
            f"coefficients have no standard errors of their own. Leave some of these columns out. "
            f"(If the classes can be separated without error, no coefficient has one.)"
        )
    identity = np.eye(len(bread))
    root = linalg.solve_triangular(factor.cholesky, identity, lower=True, check_finite=False).T
    root *= factor.scale[:, None]
    inverse, n_effective = root @ root.T, float(len(bread))
    if fitted.strength > 0:
        n_effective = float(np.trace(inverse @ bread))
    return Inverted(centre, bread, inverse, root, n_effective)


def sums_of_moments(fitted: FittedModel, moments: Moments) -> SandwichSums:
    """Return the sums that the classical covariance of a regression is made of.

    Squared errors come out of the moments as a difference: of errors that are a 10^-k of the
    targets' spread, 2k of 16 digits are lost.

    Parameters
    ----------
    fitted : FittedModel
        A regression.
    moments : Moments
        Centred, of [X, y].
    """
    packing, n = fitted.packing, fitted.packing.n_features
    coef, intercept = packing.unpack(fitted.parameters)
    mean = moments.mean
    centre = mean[:n] if packing.fit_intercept else np.zeros(n)
    about = moments if packing.fit_intercept else about_zero(moments)
    gram, cross = about.products[:n, :n], about.products[:n, n]
    bread = np.zeros((packing.size, packing.size))
    bread[:n, :n] = gram
    gradient = np.zeros(packing.size)
    gradient[:n] = gram @ coef[0] - cross
    squares = about.products[n, n] - coef[0] @ (2.0 * cross - gram @ coef[0])
    if packing.fit_intercept:
        bread[n, n] = moments.weight
        gap = float(intercept[0] + coef[0] @ centre - mean[n])
        gradient[n] = moments.weight * gap
        squares += moments.weight * gap**2
    return SandwichSums(
        weight=moments.weight,
        squares=float(max(squares, 0.0)),
        n_rows=moments.n_rows,
        n_present=moments.n_rows,
        n_saturated=0,
        centre=centre,
        gradient=gradient,
        bread=bread,
        meat=None,
        groups=np.zeros(0, dtype=np.intp),
        scores=np.zeros((0, packing.size)),
    )


def check_minimum(fitted: FittedModel, sums: SandwichSums, inverted: Inverted) -> None:
    """Refuse a model that is not the minimum on these rows.

    Raises
    ------
    ValueError
        Names the coefficient that is the furthest off.
    """
    assert sums.bread is not None
    n = fitted.packing.n_features
    parameters = fitted.parameters
    step = inverted.inverse @ (sums.gradient + fitted.penalty * parameters)
    scale = sums.squares / max(sums.weight, 1.0) if fitted.has_errors_of_one_variance else 1.0
    error = np.sqrt(scale * np.diag(inverted.inverse))
    spread = np.sqrt(np.maximum(np.diag(sums.bread), 0.0))
    largest = float(np.max(np.abs(parameters[:n]) * spread[:n], initial=0.0))
    allowed = _FAR_OFF * error + _TOLERATED * largest / np.where(spread > 0, spread, 1.0)
    if n < len(step):  # the intercept is a number of 16 digits for features as they are
        terms = np.abs(parameters[:n]) @ np.abs(inverted.centre) + abs(parameters[n])
        allowed[n] += 64 * np.finfo(float).eps * terms
    off = np.abs(step) / np.maximum(allowed, np.finfo(float).tiny)
    worst = int(np.argmax(off))
    if off[worst] > 1.0:
        name = [*fitted.names, "intercept"][worst]
        raise ValueError(
            f"The model is not the minimum on these rows: the coefficient of {name!r} is off by "
            f"{np.abs(step[worst]) / max(error[worst], np.finfo(float).tiny):.2g} standard errors. "
            f"Pass the X, y and sample_weight that it was fitted to; if that fit did not converge, "
            f"fit it again with more steps."
        )


def check_counts(sums: SandwichSums, n: float, n_effective: float) -> None:
    """Refuse rows too few for an estimate of any variance.

    Raises
    ------
    ValueError
        There are no rows, no weights, or no more rows than coefficients.
    """
    check_weight(sums.weight, sums.n_rows)
    if not n > n_effective:
        raise ValueError(
            f"{n:g} rows with a weight are too few for the standard errors of "
            f"{n_effective:g} coefficients: there must be more rows than coefficients."
        )


def clustered(sums: SandwichSums, n: float, n_effective: float) -> FloatArray:
    """Return the covariance of the sum of scores whose terms go together within groups.

    Raises
    ------
    ValueError
        There is a single group.
    """
    n_groups = len(sums.groups)
    if n_groups < 2:
        raise ValueError(
            "covariance='clustered' needs two groups or more that have a row with a weight. "
            "Pass a column of smaller groups: those within which rows depend on one another."
        )
    correction = n_groups / (n_groups - 1.0) * (n - 1.0) / (n - n_effective)
    return np.asarray(correction * (sums.scores.T @ sums.scores))
