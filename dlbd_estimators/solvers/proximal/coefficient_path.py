"""Coefficients along a path of strengths of an l1 and an L2 penalty, from second moments."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.proximal.active_set import polish
from dlbd_estimators.solvers.proximal.quadratic_model import Model

#: Relative duality gap to reach along the path: predictions are then accurate to a millionth.
_GAP = 1e-13
#: Largest number of sweeps over the coordinates for each strength of the path.
_SWEEPS = 1_000
#: If all coefficients are zero at this strength, all strengths of the path are equal to it.
_LEAST_STRENGTH = float(np.finfo(np.float64).resolution)


class CoefficientPath:
    """The problems for several strengths on the same moments.

    They minimise ``||y - X w||^2 / (2 n) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2``, where n is the weight of the rows.

    Parameters
    ----------
    moments : Moments
        Moments of the features and one target: centred, or about zero for a model without
        intercept.
    positive : bool
        Whether all coefficients must be at least 0.
    """

    def __init__(self, moments: Moments, *, positive: bool) -> None:
        self._gram = moments.products[:-1, :-1] / moments.weight
        self._slopes = moments.products[:-1, -1] / moments.weight
        self._square = float(moments.products[-1, -1] / moments.weight)
        self._epsilon = moments.epsilon
        self._positive = positive
        self._model = Model.of(self._gram, epsilon=moments.epsilon)

    def coefficients(self, l1_ratio: float, alphas: FloatArray) -> FloatArray:
        """Solve the problems of all strengths, each from the solution before.

        Parameters
        ----------
        l1_ratio : float
            Share of the l1 part, from 0 to 1.
        alphas : ndarray of shape (n_alphas,)
            Strengths, descending.

        Returns
        -------
        ndarray of shape (n_alphas, n_features)
        """
        gram, slopes, model = self._gram, self._slopes, self._model
        n, target = len(slopes), model.inverse @ slopes
        coef = np.zeros((len(alphas), n))
        has_l1 = alphas * l1_ratio > 0
        if np.any(has_l1) and target.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                _, path, gaps = enet_path(
                    model.factor,
                    target,
                    l1_ratio=l1_ratio,
                    alphas=alphas[has_l1] / len(target),
                    precompute=False,
                    positive=self._positive,
                    tol=_GAP,
                    max_iter=_SWEEPS,
                )
            coef[has_l1] = path.T
            # Strengths at which the sweeps have not converged need exact steps.
            unsettled = gaps * len(target) > _GAP * float(target @ target)
            for index in np.flatnonzero(has_l1)[unsettled]:
                coef[index] = polish(
                    gram + alphas[index] * (1.0 - l1_ratio) * np.eye(n),
                    slopes,
                    alphas[index] * l1_ratio,
                    coef[index],
                    positive=self._positive,
                )
        for index in np.flatnonzero(~has_l1):
            ridge = Model.of(gram + alphas[index] * np.eye(n), epsilon=self._epsilon)
            coef[index] = ridge.minimise(
                slopes, 0.0, positive=self._positive, start=coef[index], gap=_GAP
            )
        return coef

    def dual_gaps(self, l1_ratio: float, alphas: FloatArray, coef: FloatArray) -> FloatArray:
        """Return bounds on how far objectives are above their minima, from the moments.

        Parameters
        ----------
        l1_ratio : float
            Share of the l1 part.
        alphas : ndarray of shape (n_alphas,)
            Strengths.
        coef : ndarray of shape (n_alphas, n_features)
            Solutions.

        Returns
        -------
        ndarray of shape (n_alphas,)
            Duality gaps; without an l1 part, half the squared Newton decrements.
        """
        gaps = np.empty(len(alphas))
        for index, (alpha, w) in enumerate(zip(alphas, coef, strict=True)):
            l1, l2 = alpha * l1_ratio, alpha * (1.0 - l1_ratio)
            slope = self._slopes - self._gram @ w - l2 * w
            if l1 == 0 and not self._positive:
                hessian = Factor.of(self._gram + l2 * np.eye(len(w)))
                gaps[index] = 0.5 * slope @ hessian.solve(slope)
                continue
            fit = self._slopes @ w
            residual = self._square - 2.0 * fit + w @ self._gram @ w
            steepest = float(np.max(slope if self._positive else np.abs(slope), initial=0.0))
            share = l1 / steepest if steepest > l1 else 1.0
            gap = 0.5 * (1.0 + share**2) * (residual + l2 * (w @ w))
            gaps[index] = gap + l1 * np.abs(w).sum() - share * (self._square - fit)
        return np.maximum(gaps, 0.0)


def strengths(
    moments: Moments, l1_ratio: float, n: int, *, eps: float, positive: bool
) -> FloatArray:
    """Return strengths that are evenly spaced in their logarithm, in descending order.

    The largest is the smallest strength at which all coefficients are zero.

    Parameters
    ----------
    moments : Moments
        Moments of the features and one target.
    l1_ratio : float
        Share of the l1 part, above 0.
    n : int
        Number of strengths.
    eps : float
        The smallest strength, relative to the largest.
    positive : bool
        Whether all coefficients must be at least 0.
    """
    slopes = moments.products[:-1, -1]
    steepest = max(float(np.max(slopes if positive else np.abs(slopes))), 0.0)
    largest = steepest / (moments.weight * l1_ratio)
    if largest <= _LEAST_STRENGTH:
        return np.full(n, _LEAST_STRENGTH)
    return np.geomspace(largest, largest * eps, num=n)
