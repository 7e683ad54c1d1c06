"""Newton's method on rows in memory, for the models of all strengths and splits together.

One product of matrices computes the gradients of all models, so that each row is read once for all
of them. Models whose predictions are nearly the same share a Hessian
(:mod:`dlbd_estimators.solvers.shared_hessians`). This makes steps less accurate, but not their
limit, because gradients are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.path_rows import Tilted
from dlbd_estimators.solvers.shared_hessians import SharedHessians

#: A step longer than this share of the step before requires a new Hessian.
_SLOW = 0.2
#: Largest change of the predictions in one step, as a root mean square. A limit for the parameters
#: would be too small for columns that are nearly dependent: long steps along the difference of two
#: such columns change no prediction.
_LONGEST = 5.0
_MAX_STEPS = 100
_MAX_HALVINGS = 30
#: Relative length of a step that is only rounding error.
_ROUNDING = 1e-12
#: Memory for the Hessians of strengths that are fitted together, in bytes.
_HESSIANS_NBYTES = 2**28

#: A function of strengths and of their models that returns the slopes of these models.
_Slopes = Callable[[NDArray[np.intp], FloatArray], FloatArray]


class Minimisers(NamedTuple):
    """The models that :func:`minimise` returns.

    Attributes
    ----------
    models : ndarray of shape (n_splits, n_strengths, size)
        The models.
    converged : ndarray of bool of shape (n_splits, n_strengths)
        Whether each model is a minimiser. It is not if its steps did not become short enough, or if
        its columns are so nearly dependent that the Hessian does not explain its gradient.
    """

    models: FloatArray
    converged: NDArray[np.bool_]


def minimise(
    tilted: Tilted,
    models: FloatArray,
    tilt: FloatArray,
    penalty: FloatArray,
    enough: float,
    gradient: FloatArray | None = None,
) -> Minimisers:
    """Return the minimisers of the objectives of all strengths and splits.

    A step is halved while the slope at its end shows that it went too far beyond the minimum along
    it. A model whose steps do not become shorter fast enough gets a Hessian of its own.

    Parameters
    ----------
    tilted : Tilted
        The rows, and the splits.
    models : ndarray of shape (n_splits, n_strengths, size)
        Initial models; they are not changed.
    tilt : ndarray of shape (n_splits, n_strengths, size)
        Linear term of each objective.
    penalty : ndarray of shape (n_splits, n_strengths, size)
        Diagonals of the penalties' Hessians.
    enough : float
        A model is finished when its error is about this, relative to the length of its first step.
    gradient : ndarray of shape (n_splits, n_strengths, size), optional
        ``tilted.gradient(models)``, if it is known.
    """
    if gradient is None:
        gradient = tilted.gradient(models)
    slopes = gradient + tilt + penalty * models
    models, converged = models.copy(), np.zeros(models.shape[:2], dtype=bool)
    # Neighbours by strength, because they share Hessians.
    order = np.argsort(-penalty.mean(axis=(0, 2)), kind="stable")
    most = max(_HESSIANS_NBYTES // (8 * models.shape[-1] ** 2), 1)
    for begin in range(0, len(order), most):
        some = order[begin : begin + most]
        models[:, some], converged[:, some] = _minimise_together(
            tilted, models[:, some], tilt[:, some], penalty[:, some], enough, slopes[:, some]
        )
    return Minimisers(models, converged)


def _minimise_together(
    tilted: Tilted,
    models: FloatArray,
    tilt: FloatArray,
    penalty: FloatArray,
    enough: float,
    gradient: FloatArray,
) -> Minimisers:
    """Return the minimisers for some strengths; ``gradient`` is that of the initial objectives."""

    def slopes(strengths: NDArray[np.intp], at: FloatArray) -> FloatArray:
        of_loss = tilted.gradient(at)
        return np.asarray(of_loss + tilt[:, strengths] + penalty[:, strengths] * at)

    hessians = SharedHessians(tilted, models, penalty)
    last = np.full(models.shape[:2], np.inf)
    first = last
    unfinished = np.ones(last.shape, dtype=bool)
    for _ in range(_MAX_STEPS):
        step = hessians.steps(gradient, unfinished)
        change = hessians.changes(step)
        step *= (_LONGEST / np.maximum(change, _LONGEST))[..., None]
        length = lengths(step, models + step)
        rate = length / np.maximum(last, np.finfo(float).tiny)
        # Steps that shrink steadily leave about the length of the next one.
        left = np.where((rate > 0.0) & (rate < 0.5), length * rate, length)
        last_steps = unfinished & (left <= np.maximum(enough * first, _ROUNDING))
        last_steps &= np.isfinite(last) | (length <= _ROUNDING)
        models[last_steps] += step[last_steps]
        unfinished &= ~last_steps
        some = np.flatnonzero(unfinished.any(axis=0))
        if not len(some):
            break
        step[~unfinished] = 0.0
        _damped_step(models, gradient, step, some, slopes)
        length = lengths(step, models)
        first = np.where(np.isinf(last), length, first)
        hessians.renew(models, unfinished, unfinished & (length > _SLOW * last))
        last = length
    return Minimisers(models, ~(unfinished | hessians.unexplained(gradient)))


def _damped_step(
    models: FloatArray,
    gradient: FloatArray,
    step: FloatArray,
    strengths: NDArray[np.intp],
    slopes: _Slopes,
) -> None:
    """Make the steps of some strengths, in place, and halve the steps that go too far."""
    slope_before = np.abs((step * gradient).sum(axis=-1))
    before = models.copy()
    for _ in range(_MAX_HALVINGS):
        models[:, strengths] = (before + step)[:, strengths]
        gradient[:, strengths] = slopes(strengths, models[:, strengths])
        overshot = overshoots(step, gradient, slope_before)
        strengths = np.flatnonzero(overshot.any(axis=0))
        if not len(strengths):
            break
        step[overshot] /= 2.0


def overshoots(
    step: FloatArray, gradient: FloatArray, slope_before: FloatArray
) -> NDArray[np.bool_]:
    """Return which steps went too far beyond the minimum along them.

    They did if the slope at the end of the step is positive and above half the initial slope.

    Parameters
    ----------
    step, gradient : ndarray of shape (..., size)
        Steps, and the gradients at their ends.
    slope_before : ndarray of shape (...)
        Absolute slopes at the beginning of the steps.
    """
    slope = (step * gradient).sum(axis=-1)
    noise = 1e-13 * np.abs(step).sum(axis=-1)
    return np.asarray(slope > 0.5 * slope_before + noise)


def lengths(step: FloatArray, models: FloatArray) -> FloatArray:
    """Return each step's largest change of a parameter, relative to the largest parameter."""
    largest = np.abs(models).max(axis=-1)
    change = np.abs(step).max(axis=-1)
    return np.asarray(change / np.maximum(largest, np.maximum(change, np.finfo(float).tiny)))
