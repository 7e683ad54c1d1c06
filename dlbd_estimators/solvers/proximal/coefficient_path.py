"""Coefficients along a path of strengths of an l1 and an L2 penalty, by second moments."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.solvers.proximal.active_set import polish
from dlbd_estimators.solvers.proximal.quadratic_model import Model

#: Relative duality gap to reach along the path: predictions to a millionth.
_GAP = 1e-13
#: Sweeps over the coordinates for each strength of the path.
_SWEEPS = 1_000
#: Linear systems after that, at most.
_EXACT_STEPS = 500


class CoefficientPath:
    """The problems of all strengths on the same moments.

    They minimise ``||y - X w||^2 / (2 n) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2``, where n is the weight of the rows.

    Parameters
    ----------
    moments : Moments
        Of the features and one target: centred, or about zero for a model without intercept.
    positive : bool
        Allow no negative coefficient.
    """

    def __init__(self, moments: Moments, *, positive: bool) -> None:
        self._gram = moments.products[:-1, :-1] / moments.weight
        self._slopes = moments.products[:-1, -1] / moments.weight
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
        along = alphas * l1_ratio > 0
        if np.any(along) and target.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                _, path, gaps = enet_path(
                    model.factor,
                    target,
                    l1_ratio=l1_ratio,
                    alphas=alphas[along] / len(target),
                    precompute=False,
                    positive=self._positive,
                    tol=_GAP,
                    max_iter=_SWEEPS,
                )
            coef[along] = path.T
            # What has not converged by then needs exact steps.
            unsettled = gaps * len(target) > _GAP * float(target @ target)
            for index in np.flatnonzero(along)[unsettled]:
                coef[index] = polish(
                    gram + alphas[index] * (1.0 - l1_ratio) * np.eye(n),
                    slopes,
                    alphas[index] * l1_ratio,
                    coef[index],
                    positive=self._positive,
                    max_steps=_EXACT_STEPS,
                )
        for index in np.flatnonzero(~along):
            ridge = Model.of(gram + alphas[index] * np.eye(n), epsilon=self._epsilon)
            coef[index] = ridge.minimise(
                slopes, 0.0, positive=self._positive, start=coef[index], gap=_GAP
            )
        return coef
