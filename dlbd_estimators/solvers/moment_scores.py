"""Scores of linear models on held-out rows, computed from second moments alone.

Let ``(n, m, M)`` be the weight, the means and the centred second moments of the held-out rows of
[x, y]. The sum of squared errors of a model ``x w + b`` of target j is the quadratic
``u M u + n d^2`` with ``u = (w, -e_j)`` and the mean error ``d = m_x w + b - m_j``. So the mean
squared error and R2 of any number of models are computed without reading the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.solvers.frozen import replace

#: A function that returns the score of each model and target; larger is better. Its arguments: the
#: sums of squared errors (n_models, n_targets), the weight of the rows, and the sum of squared
#: deviations of each target from its mean.
QuadraticScore = Callable[[FloatArray, float, FloatArray], FloatArray]


def join(partials: Sequence[Moments], parts: Sequence[int]) -> Moments:
    """Return the moments of the rows of several parts together.

    Parameters
    ----------
    partials : sequence of Moments
        Centred moments of each part; they are not changed.
    parts : sequence of int
        Indices of the parts to add up; at least one.
    """
    kernel = MomentsKernel(centre=True)
    first = partials[parts[0]]
    joined = replace(copy(first), products=first.products.copy())
    for part in parts[1:]:
        joined = kernel.combine(joined, partials[part])
    return joined


def check_split(
    number: int, train: Moments, test: Moments, score: QuadraticScore | None = None
) -> None:
    """Raise an error if a split has no rows to train on, or too few rows to test on.

    Raises
    ------
    ValueError
        The message gives the number of the split, and what to do.
    """
    if not train.weight > 0:
        what = "no rows" if train.n_rows == 0 else "only rows of sample_weight 0"
        raise ValueError(
            f"Split {number} of cv has {what} to train on. Ask for fewer folds, or shuffle them: "
            f"cv=KFold(..., shuffle=True)."
        )
    if not test.weight > 0:
        what = "no rows" if test.n_rows == 0 else "only rows of sample_weight 0"
        raise ValueError(f"Split {number} of cv has {what} to test on. Ask for fewer folds.")
    if score is determination and test.n_rows < 2:
        raise ValueError(
            f"Split {number} of cv tests on one row, for which R2 is not defined. Use "
            f"scoring='neg_mean_squared_error', or ask for fewer folds."
        )


def about_zero(moments: Moments) -> Moments:
    """Return centred moments as moments about zero, for a model without intercept."""
    mean = moments.mean
    products = moments.products + moments.weight * np.outer(mean, mean)
    zero = np.zeros_like(mean)
    return replace(moments, origin=zero, rest=zero, products=products)


def squared_errors(
    train: Moments, test: Moments, coef: FloatArray, *, fit_intercept: bool
) -> FloatArray:
    """Return the sums of squared errors of models with the best intercepts for ``train``.

    Parameters
    ----------
    train, test : Moments
        Centred moments of the rows that the models were fitted on, and of the held-out rows.
    coef : ndarray of shape (n_models, n_targets, n_features)
        Coefficients of the models.
    fit_intercept : bool
        Whether the models have an intercept.

    Returns
    -------
    ndarray of shape (n_models, n_targets)
    """
    n = coef.shape[2]
    gap = test.mean
    if fit_intercept:  # in this order: the means may be far larger than their difference
        gap = (test.origin - train.origin) + (test.rest - train.rest)
    shift = coef @ gap[:n] - gap[n:]
    gram, cross = test.products[:n, :n], test.products[:n, n:]
    within = np.diag(test.products)[n:] - 2.0 * np.einsum("akp,pk->ak", coef, cross)
    within = within + np.sum((coef @ gram) * coef, axis=2)
    return np.asarray(np.maximum(within, 0.0) + test.weight * shift**2)


def deviations(test: Moments, n_features: int) -> FloatArray:
    """Return each target's sum of squared deviations from its mean, from centred moments."""
    return np.asarray(np.diag(test.products)[n_features:])


def negative_mean_squared_error(errors: FloatArray, weight: float, _: FloatArray) -> FloatArray:
    """Return scikit-learn's ``neg_mean_squared_error`` of each model and target."""
    return -errors / weight


def negative_root_mean_squared_error(
    errors: FloatArray, weight: float, _: FloatArray
) -> FloatArray:
    """Return scikit-learn's ``neg_root_mean_squared_error`` of each model and target."""
    return np.asarray(-np.sqrt(errors / weight))


def determination(errors: FloatArray, _: float, deviations: FloatArray) -> FloatArray:
    """Return scikit-learn's ``r2`` of each model and target."""
    deviations = np.broadcast_to(deviations, errors.shape)
    otherwise = np.where(errors > 0, 1.0, 0.0)
    return 1.0 - np.divide(errors, deviations, out=otherwise, where=deviations > 0)


#: Scores by scikit-learn's names.
QUADRATIC: dict[str, QuadraticScore] = {
    "neg_mean_squared_error": negative_mean_squared_error,
    "neg_root_mean_squared_error": negative_root_mean_squared_error,
    "r2": determination,
}
