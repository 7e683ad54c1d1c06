"""Newton's method for the models of all strengths and splits on rows in memory."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.solvers import path_newton
from dlbd_estimators.solvers.path_newton import lengths, overshoots
from dlbd_estimators.solvers.path_newton import minimise as minimisers
from dlbd_estimators.solvers.path_rows import PathRows, Tilted

FOLDS = Splits.folds(3)
STRENGTHS = np.array([0.001, 1.0, 0.05])  # not in order


def minimise(*arguments):
    """Return the models of the minimisers, which have all converged."""
    found = minimisers(*arguments)
    assert found.converged.all()
    return found.models


def tilted_of(n_classes, rng, *, n=600, p=4, separable=False):
    """Rows in three folds, with weights."""
    X = rng.normal(size=(n, p))
    scores = 2.0 * X @ rng.normal(size=(p, n_classes))
    if not separable:
        scores += rng.gumbel(size=scores.shape)
    times = (np.arange(n)[:, None] % 3 == np.arange(3)).astype(float)
    y = scores.argmax(axis=1).astype(float)
    rows = PathRows(X, y, rng.uniform(0.5, 2.0, n), np.ones(n), times)
    packing = Packing(1 if n_classes == 2 else n_classes, p, True)
    return Tilted.of(rows, packing, FOLDS), packing


def penalty_of(packing, strengths=STRENGTHS):
    """Penalties of all coefficients, but not of the intercepts."""
    one = np.ones(packing.shape)
    one[:, packing.n_features :] = 0.0
    penalty = strengths[:, None] * one.ravel()
    return np.tile(penalty, (3, 1, 1))


def without_shift(models, packing):
    """Models whose parameters sum to zero over the classes, if there are more than two."""
    by_class = models.reshape(*models.shape[:2], *packing.shape)
    if packing.n_outputs > 1:
        by_class = by_class - by_class.mean(axis=2, keepdims=True)
    return by_class.reshape(models.shape)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_slopes_at_the_minimisers_are_zero(n_classes, far, rng):
    tilted, packing = tilted_of(n_classes, rng)
    penalty, shape = penalty_of(packing), (3, 3, packing.size)
    start = without_shift((6.0 if far else 0.1) * rng.normal(size=shape), packing)
    tilt = without_shift(0.01 * rng.normal(size=shape), packing)
    before = start.copy()
    found = minimise(tilted, start, tilt, penalty, 1e-12)
    np.testing.assert_array_equal(start, before)
    slopes = tilted.gradient(found) + tilt + penalty * found
    np.testing.assert_allclose(slopes, 0.0, atol=1e-11)
    known = minimise(tilted, start, tilt, penalty, 1e-12, tilted.gradient(start))
    np.testing.assert_array_equal(known, found)
    roughly = minimise(tilted, start, tilt, penalty, 1e-2)
    error = lengths(roughly - found, found)
    assert 1e-12 < error.max() < 1e-2 * lengths(start - found, found).max()


@pytest.mark.parametrize("separable", [False, True])
def test_each_minimiser_is_the_one_found_alone(separable, rng):
    """Neither the other strengths nor their order nor the number of threads matters."""
    tilted, packing = tilted_of(2, rng, separable=separable)
    penalty = penalty_of(packing, np.logspace(-6, 0, 5))
    zero = np.zeros_like(penalty)
    together = minimise(tilted, zero, zero, penalty, 1e-12)
    for strength in range(5):
        some = zero[:, :1]
        alone = minimise(tilted, some, some, penalty[:, [strength]], 1e-12)
        assert lengths(alone - together[:, [strength]], alone).max() < 1e-10
    backwards = minimise(tilted, zero, zero, penalty[:, ::-1], 1e-12)
    np.testing.assert_allclose(backwards[:, ::-1], together, rtol=1e-9, atol=1e-10)
    with dask.config.set(num_workers=1):
        np.testing.assert_array_equal(minimise(tilted, zero, zero, penalty, 1e-12), together)


def test_strengths_in_groups_that_fit_in_memory(rng, monkeypatch):
    tilted, packing = tilted_of(2, rng)
    penalty, zero = penalty_of(packing), np.zeros((3, 3, packing.size))
    expected = minimise(tilted, zero, zero, penalty, 1e-12)
    monkeypatch.setattr(path_newton, "_HESSIANS_NBYTES", 2 * 8 * packing.size**2)
    groups, together = [], path_newton._minimise_together

    def recorded(tilted, models, tilt, penalty, *others):
        groups.append(penalty[0, :, 0].tolist())
        return together(tilted, models, tilt, penalty, *others)

    monkeypatch.setattr(path_newton, "_minimise_together", recorded)
    found = minimise(tilted, zero, zero, penalty, 1e-12)
    assert groups == [[1.0, 0.05], [0.001]]  # neighbours share Hessians
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_columns_that_are_nearly_dependent(rng):
    """A Hessian in float32 would be useless here, and rounding must not end the steps too late."""
    tilted, packing = tilted_of(2, rng)
    tilted.X[:, 1] = tilted.X[:, 0] + 0.03 * tilted.X[:, 1]
    penalty, zero = penalty_of(packing, np.array([1e-10])), np.zeros((3, 1, packing.size))
    found = minimise(tilted, zero, zero, penalty, 1e-11)
    np.testing.assert_allclose(tilted.gradient(found) + penalty * found, 0.0, atol=1e-13)


def test_predictions_far_from_zero_take_few_steps(rng):
    """A hundred steps must be enough, although the length of each is limited."""
    tilted, packing = tilted_of(2, rng, separable=True)
    penalty, zero = penalty_of(packing, np.array([1e-6])), np.zeros((3, 1, packing.size))
    found = minimise(tilted, zero, zero, penalty, 1e-9)  # it has converged
    assert np.square(tilted.X @ found[0, 0, :-1]).mean() > 30.0**2


def test_a_step_that_goes_too_far_is_halved():
    X, y = np.linspace(-1.0, 1.0, 40)[:, None], np.arange(40) % 2
    tilted = Tilted(X, y, np.full((2, 40), 1 / 40), Packing(1, 1, False))
    asked = []

    def slopes(strengths, at):
        asked.append((strengths.tolist(), at[0, :, 0].tolist()))
        return tilted.gradient(at) + at - 1.0

    models, step = np.zeros((2, 3, 1)), np.zeros((2, 3, 1))
    step[0, :, 0] = [0.0, 0.5, 64.0]
    gradient = tilted.gradient(models) + models - 1.0
    begin = np.abs(gradient[0, 2, 0])
    path_newton._damped_step(models, gradient, step, np.array([1, 2]), slopes)
    assert asked[0] == ([1, 2], [0.5, 64.0])
    lengths_tried = [at[-1] for _, at in asked]
    assert lengths_tried == [64.0 / 2**k for k in range(len(asked))]
    assert all(strengths == [2] for strengths, _ in asked[1:])
    assert models[0, :, 0].tolist() == [0.0, 0.5, lengths_tried[-1]]
    assert step[0, :, 0].tolist() == [0.0, 0.5, lengths_tried[-1]]
    there = tilted.gradient(models) + models - 1.0
    np.testing.assert_allclose(gradient[:, 1:], there[:, 1:], atol=1e-14)
    begin, end = 64.0 * begin, lengths_tried[-1]

    def slope(length):
        at = np.full((2, 1, 1), length)
        return length * float((tilted.gradient(at) + at - 1.0)[0, 0, 0])

    assert slope(end) <= 0.5 * begin < slope(2.0 * end)


@pytest.mark.parametrize(
    ("slope", "before", "too_far"), [(0.6, 1.0, True), (0.4, 1.0, False), (-2.0, 1.0, False)]
)
def test_a_step_goes_too_far_if_more_than_half_the_slope_comes_back(slope, before, too_far):
    step = np.array([[2.0, 0.0]])
    gradient = np.array([[slope / 2.0, 5.0]])
    assert overshoots(step, gradient, np.array([before])).tolist() == [too_far]
    assert not overshoots(step, gradient * 1e-14, np.array([0.0]))[0]  # rounding is no slope
    assert overshoots(step, np.array([[4e-13, 0.0]]), np.array([0.0]))[0]  # above 1e-13 of the step


def test_the_length_of_a_step_is_relative_to_the_largest_parameter():
    step = np.array([[0.1, -0.3], [4.0, 1.0], [0.0, 0.0]])
    models = np.array([[-6.0, 1.0], [2.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(lengths(step, models), [0.05, 1.0, 0.0])
