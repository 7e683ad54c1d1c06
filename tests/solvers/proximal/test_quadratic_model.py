"""Quadratics with an l1 norm: the conditions of a minimum hold, however ill they are posed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.proximal import active_set
from dlbd_estimators.solvers.proximal.active_set import polish
from dlbd_estimators.solvers.proximal.quadratic_model import Model


def problem(seed, n, rank, log_scale, correlation):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rank, n)) + correlation * rng.normal(size=(rank, 1))
    rows *= 10.0 ** rng.uniform(-log_scale, log_scale, n)
    return rows.T @ rows / rank, rows.T @ rng.normal(size=rank) / rank


def violation(gram, linear, l1, w, *, positive=False):
    """How far a point is from the conditions of a minimum, in shares of the terms in them."""
    slope = linear - gram @ w
    rounding = np.abs(linear) + np.abs(gram) @ np.abs(w) + l1
    distance = np.where(w > 0, np.abs(slope - l1), np.maximum(slope - l1, 0.0))
    if not positive:
        zero = np.maximum(np.abs(slope) - l1, 0.0)
        distance = np.where(w == 0, zero, np.abs(slope - l1 * np.sign(w)))
    assert not (positive and (w < 0).any())
    return float(np.max(distance / rounding))


@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 8),
    extra=st.integers(-4, 20),
    log_scale=st.sampled_from([0.0, 2.0]),
    correlation=st.sampled_from([0.0, 3.0, 30.0]),
    share=st.floats(0.01, 1.5),
    positive=st.booleans(),
)
def test_minimum_with_l1(seed, n, extra, log_scale, correlation, share, positive):
    gram, linear = problem(seed, n, max(1, n + extra), log_scale, correlation)
    l1 = share * float(np.abs(linear).max())
    start = np.zeros(n)
    w = Model.of(gram).minimise(linear, l1, positive=positive, start=start, gap=1e-16)
    assert violation(gram, linear, l1, w, positive=positive) < 1e-6
    if share > 1.0:
        assert not w.any()


@given(seed=st.integers(0, 2**16), n=st.integers(1, 8), positive=st.booleans())
def test_minimum_without_l1(seed, n, positive):
    gram, linear = problem(seed, n, n + 10, 2.0, 1.0)
    w = Model.of(gram).minimise(linear, 0.0, positive=positive, start=np.zeros(n), gap=1e-16)
    if positive:
        assert violation(gram, linear, 0.0, w, positive=True) < 1e-10
    else:
        np.testing.assert_allclose(gram @ w, linear, rtol=1e-9, atol=1e-9 * np.abs(linear).max())


@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 8),
    extra=st.integers(-4, 10),
    share=st.floats(0.01, 0.9),
    positive=st.booleans(),
)
def test_exact_steps_get_there_from_anywhere(seed, n, extra, share, positive):
    gram, linear = problem(seed, n, max(1, n + extra), 1.0, 3.0)
    l1 = share * float(np.abs(linear).max())
    start = np.random.default_rng(seed).normal(size=n)
    start = np.abs(start) if positive else start
    w = polish(gram, linear, l1, start, positive=positive)
    assert violation(gram, linear, l1, w, positive=positive) < 1e-6


@pytest.mark.parametrize(("options", "n_steps"), [({}, 500), ({"max_steps": 3}, 3)])
def test_the_number_of_exact_steps_is_limited(options, n_steps):
    """The first step finds that all coefficients are zero; each other step makes one active."""
    n = 510
    linear = np.linspace(2.0, 3.0, n)
    w = polish(np.eye(n), linear, 1.0, np.zeros(n), positive=False, **options)
    active = n_steps - 1  # those with the largest slopes
    np.testing.assert_allclose(w, np.where(np.arange(n) < n - active, 0.0, linear - 1.0))


@given(seed=st.integers(0, 2**16), n=st.integers(2, 5))
def test_an_exact_step_ends_at_the_best_point_where_a_coefficient_becomes_zero(seed, n):
    gram, linear = problem(seed, n, n + 4, 0.0, 2.0)
    rng = np.random.default_rng(seed)
    l1, w, active = 0.1 * float(np.abs(linear).max()), rng.normal(size=n), np.arange(n)
    signs = np.sign(w)
    goal = np.linalg.solve(gram, linear - l1 * signs)
    found = active_set._best_breakpoint(gram, linear, l1, w, active, goal, signs)
    points = [w]
    for index in np.flatnonzero(goal * signs < 0):
        point = w + w[index] / (w[index] - goal[index]) * (goal - w)
        point = np.where((point * signs < 0) | (active == index), 0.0, point)
        points.append(point)
    values = [0.5 * at @ gram @ at - linear @ at + l1 * np.abs(at).sum() for at in points]
    np.testing.assert_allclose(found, points[np.argmin(values)], rtol=1e-9, atol=1e-12)


def test_units_of_a_column_cost_no_digits():
    gram, linear = problem(0, 6, 40, 0.0, 1.0)
    scale = 10.0 ** np.array([-8, 8, 0, 4, -4, 2.0])
    plain = Model.of(gram).minimise(linear, 0.0, positive=False, start=np.zeros(6), gap=1e-16)
    scaled = Model.of(gram * scale * scale[:, None]).minimise(
        linear * scale, 0.0, positive=False, start=np.zeros(6), gap=1e-16
    )
    np.testing.assert_allclose(scaled * scale, plain, rtol=1e-10)


@pytest.mark.parametrize("n", [0, 3])
def test_nothing_to_explain_gives_zeros(n):
    model = Model.of(np.zeros((n, n)))
    assert not model.minimise(np.zeros(n), 1.0, positive=False, start=np.ones(n), gap=1e-16).any()


def test_of_a_singular_matrix_distances_are_those_in_its_block(rng):
    rows = rng.normal(size=(3, 5))
    model = Model.of(rows.T @ rows)
    assert not model.regular
    point, slope = np.array([0.0, 2.0, 0.0, 0.0, -1.0]), np.array([0.0, 0.3, 0.5, 0.0, 0.0])
    kept = [1, 2, 4]
    block = (rows.T @ rows)[np.ix_(kept, kept)]
    expected = np.sqrt(slope[kept] @ np.linalg.solve(block, slope[kept]))
    assert model.distance(slope, point) == pytest.approx(expected, rel=1e-9)
    assert model.distance(np.zeros(5), np.zeros(5)) == 0.0
    inverse = np.linalg.inv((rows.T @ rows)[np.ix_([1, 4], [1, 4])])
    np.testing.assert_allclose(
        model.inverse_diagonal(point), [0.0, inverse[0, 0], 0.0, 0.0, inverse[1, 1]], rtol=1e-9
    )
    np.testing.assert_array_equal(model.inverse_diagonal(np.zeros(5)), 0.0)


def test_of_a_regular_matrix_distances_are_those_of_the_inverse(rng):
    rows = rng.normal(size=(9, 4)) * [1.0, 1e-3, 1e3, 1.0]
    matrix, slope = rows.T @ rows, rng.normal(size=4)
    model = Model.of(matrix)
    assert model.regular
    expected = np.sqrt(slope @ np.linalg.solve(matrix, slope))
    assert model.distance(slope, np.zeros(4)) == pytest.approx(expected, rel=1e-9)
    diagonal = np.diag(np.linalg.inv(matrix))
    np.testing.assert_allclose(model.inverse_diagonal(np.zeros(4)), diagonal, rtol=1e-9)
