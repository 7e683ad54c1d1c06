"""Hessians that the models of several strengths and splits share.

The models of a search differ little: those of the splits of one strength have most training rows in
common, and weak penalties hardly change a model. Models whose predictions are nearly the same share
the Hessian of their mean loss, to which each strength adds its own penalty. It is formed in float32
if its condition number allows that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.engine.parallel import call_in_threads
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.factor import Factor, needs_float64
from dlbd_estimators.solvers.gauge import fix_gauge
from dlbd_estimators.solvers.path_rows import Tilted

Item = TypeVar("Item")

#: Largest distance of a model from the point of its Hessian: the root mean square of differences of
#: raw predictions. A model that has moved farther gets another Hessian; if its steps are slow, it
#: gets one already at the second distance.
_NEAR, _NEAR_IF_SLOW = 0.3, 0.05
#: Number of rows from which differences of predictions are estimated.
_COMPARED_ROWS = 300
#: Hessians that take fewer multiplications are formed faster without threads.
_WORK_OF_A_THREAD = 2**23
#: Largest part of a gradient outside the range of a singular Hessian that is only rounding.
_NULL_COMPONENT = 1e-12


class SharedHessians:
    """Factors of the Hessians of all models, which change as the models move.

    Parameters
    ----------
    tilted : Tilted
        The rows, and the splits.
    models : ndarray of shape (n_splits, n_strengths, size)
        Initial models; neighbouring strengths may share a Hessian.
    penalty : ndarray of shape (n_splits, n_strengths, size)
        Diagonals of the penalties' Hessians.
    """

    def __init__(self, tilted: Tilted, models: FloatArray, penalty: FloatArray) -> None:
        self._tilted, self._penalty = tilted, penalty
        self._weight = tilted.weights.mean(axis=0)
        self._compared = slice(None, None, max(len(tilted.X) // _COMPARED_ROWS, 1))
        self._in_threads = len(tilted.X) * models.shape[-1] ** 2 > _WORK_OF_A_THREAD
        # The factor of each model, and whether the Hessian is its own.
        self._factors = np.empty(models.shape[:2], dtype=object)
        self._own = np.zeros(models.shape[:2], dtype=bool)
        # Whether the Hessians of a strength need float64.
        self._wide = np.zeros(models.shape[1], dtype=bool)
        # Predictions at the point of each model's Hessian (n_splits, n_strengths, n_outputs, rows).
        predictions = self._predictions_of(models)
        self._points = predictions.copy()
        outside = self._share(models, predictions, np.arange(models.shape[1]))
        self._separate(models, predictions, outside)

    def steps(self, gradient: FloatArray, wanted: NDArray[np.bool_]) -> FloatArray:
        """Return Newton's steps of some models, and zero for all others.

        Parameters
        ----------
        gradient : ndarray of shape (n_splits, n_strengths, size)
            Gradients of the objectives.
        wanted : ndarray of bool of shape (n_splits, n_strengths)
            Models to make a step with.
        """
        step = np.zeros_like(gradient)
        for split, strength in zip(*np.nonzero(wanted), strict=True):
            step[split, strength] = -self._factors[split, strength].solve(gradient[split, strength])
        packing = self._tilted.packing
        if packing.n_outputs > 1:  # rounding of a Hessian leaves a shift common to all classes
            by_class = step.reshape(*wanted.shape, *packing.shape)
            by_class -= by_class.mean(axis=2, keepdims=True)
        return step

    def changes(self, step: FloatArray) -> FloatArray:
        """Return the root mean squares of the changes of predictions by steps.

        Parameters
        ----------
        step : ndarray of shape (n_splits, n_strengths, size)
            Changes of the models.
        """
        return self._distance(self._predictions_of(step), np.zeros(()))

    def unexplained(self, gradient: FloatArray) -> NDArray[np.bool_]:
        """Return for which models the Hessian is singular, and does not explain the gradient.

        Parameters
        ----------
        gradient : ndarray of shape (n_splits, n_strengths, size)
            Gradients of the objectives.
        """
        found = np.zeros_like(self._own)
        for index, factor in np.ndenumerate(self._factors):
            found[index] = factor.null_component_norm(gradient[index]) > _NULL_COMPONENT
        return found

    def renew(
        self, models: FloatArray, unfinished: NDArray[np.bool_], slow: NDArray[np.bool_]
    ) -> None:
        """Form new Hessians where the models have moved far, or where their steps are slow.

        Parameters
        ----------
        models : ndarray of shape (n_splits, n_strengths, size)
            The models now.
        unfinished, slow : ndarray of bool of shape (n_splits, n_strengths)
            Models that will make another step; those whose last step was not much shorter than
            the step before.
        """
        predictions = self._predictions_of(models)
        near = np.where(slow, _NEAR_IF_SLOW, _NEAR)
        far = unfinished & (self._distance(predictions, self._points) > near)
        alone = slow & (self._own | ~far)
        strengths = np.flatnonzero((far & ~self._own).any(axis=0))
        if len(strengths):
            alone |= self._share(models, predictions, strengths) & unfinished
        self._separate(models, predictions, alone)

    def _share(
        self, models: FloatArray, predictions: FloatArray, strengths: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Form the Hessians of some strengths: neighbours with similar predictions share one.

        Returns
        -------
        ndarray of bool of shape (n_splits, n_strengths)
            Models of these strengths that are too far away, and need a Hessian of their own.
        """
        mean = predictions.mean(axis=0)
        groups = [strengths[:1].tolist()]
        for strength in strengths[1:].tolist():
            if self._distance(mean[strength], mean[groups[-1][0]]) <= _NEAR:
                groups[-1].append(strength)
            else:
                groups.append([strength])

        def factors(group: list[int]) -> tuple[list[Factor], bool]:
            model = models[:, group].mean(axis=(0, 1))
            penalty = self._penalty[:, group].mean(axis=0)
            wide = bool(self._wide[group].any())
            return self._factors_of(self._weight, model, list(penalty), wide=wide)

        outside = np.zeros_like(self._own)
        for group, (found, wide) in zip(groups, self._call(factors, groups), strict=True):
            self._wide[group] = wide
            point = mean[group].mean(axis=0)
            for strength, factor in zip(group, found, strict=True):
                sharing = ~self._own[:, strength]
                self._factors[sharing, strength] = factor
                self._points[sharing, strength] = point
        distance = self._distance(predictions[:, strengths], self._points[:, strengths])
        outside[:, strengths] = ~self._own[:, strengths] & (distance > _NEAR)
        return outside

    def _separate(
        self, models: FloatArray, predictions: FloatArray, alone: NDArray[np.bool_]
    ) -> None:
        """Give some models Hessians of their own."""
        pairs = list(zip(*np.nonzero(alone), strict=True))

        def factor(pair: tuple[int, int]) -> tuple[Factor, bool]:
            weight, penalty = self._tilted.weights[pair[0]], self._penalty[pair]
            wide = bool(self._wide[pair[1]])
            [factor], wide = self._factors_of(weight, models[pair], [penalty], wide=wide)
            return factor, wide

        for pair, (found, wide) in zip(pairs, self._call(factor, pairs), strict=True):
            self._factors[pair] = found
            self._wide[pair[1]] |= wide
        self._points[alone] = predictions[alone]
        self._own |= alone

    def _call(
        self, function: Callable[[Item], tuple[Any, bool]], items: Sequence[Item]
    ) -> list[tuple[Any, bool]]:
        """Call a function that forms a Hessian for each item, in threads if that is faster."""
        return call_in_threads(function, items) if self._in_threads else list(map(function, items))

    def _factors_of(
        self, weight: FloatArray, model: FloatArray, penalties: Sequence[FloatArray], *, wide: bool
    ) -> tuple[list[Factor], bool]:
        """Factor the Hessian of a mean loss plus each of some penalties.

        Parameters
        ----------
        weight, model : ndarray
            Weights of the rows, and the parameters of the Hessian's point.
        penalties : sequence of ndarray of shape (size,)
            Diagonals of the penalties' Hessians.
        wide : bool
            Whether the Hessian must be formed in float64.

        Returns
        -------
        factors : list of Factor
            One for each penalty.
        wide : bool
            Whether the Hessian was formed in float64.
        """
        if not wide:
            hessian = self._tilted.hessian(weight, model, "float32")
            if np.isfinite(hessian).all():
                factors = [self._factor(hessian, penalty) for penalty in penalties]
                if not any(needs_float64(factor, "float32") for factor in factors):
                    return factors, False
        hessian = self._tilted.hessian(weight, model)
        return [self._factor(hessian, penalty) for penalty in penalties], True

    def _factor(self, hessian: FloatArray, penalty: FloatArray) -> Factor:
        matrix = hessian.copy()
        matrix[np.diag_indices_from(matrix)] += penalty
        if self._tilted.packing.n_outputs > 1:
            fix_gauge(matrix, self._tilted.packing)
        return Factor.of(matrix)

    def _predictions_of(self, models: FloatArray) -> FloatArray:
        """Return the raw predictions of some rows (n_splits, n_strengths, n_outputs, n_rows)."""
        packing = self._tilted.packing
        X, n = self._tilted.X[self._compared], packing.n_features
        flat = models.reshape(-1, packing.shape[1])
        raw: FloatArray = flat[:, :n] @ X.T
        if packing.fit_intercept:
            raw += flat[:, n:]
        return raw.reshape(*models.shape[:2], packing.n_outputs, len(X))

    def _distance(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return the root mean square of differences of predictions (..., n_outputs, n_rows)."""
        weight = self._weight[self._compared]
        squares = np.square(left - right).sum(axis=-2) @ weight
        return np.asarray(np.sqrt(squares / max(weight.sum(), np.finfo(float).tiny)))
