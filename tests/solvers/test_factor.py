"""Solving with symmetric matrices of any scale, singular ones among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.solvers.factor import Factor, dependent_columns, needs_float64
from tests.solvers.dense import problem_of
from tests.strategies import random_generators


def definite(rng, n, condition=10.0):
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return (q * np.geomspace(1.0, 1.0 / condition, n)) @ q.T


@given(random_generators(), st.integers(1, 8), st.sampled_from([None, 1, 3]))
def test_solves_for_one_or_several_right_hand_sides(rng, n, columns):
    matrix = definite(rng, n)
    right = rng.normal(size=n if columns is None else (n, columns))
    before = matrix.copy()
    np.testing.assert_allclose(matrix @ Factor.of(matrix).solve(right), right, atol=1e-12)
    np.testing.assert_array_equal(matrix, before)


@given(random_generators(), st.integers(1, 8))
def test_units_of_the_columns_cost_no_digits(rng, n):
    matrix, scale = definite(rng, n), 10.0 ** rng.integers(-9, 10, n)
    right = rng.normal(size=n)
    expected = Factor.of(matrix).solve(right)
    factor = Factor.of(matrix * scale * scale[:, None])
    np.testing.assert_allclose(factor.solve(right * scale) * scale, expected, rtol=1e-9, atol=1e-12)
    assert factor.condition < 1e3


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
def test_condition_is_told_within_a_factor_of_the_order(condition, rng):
    n = 6
    factor = Factor.of(definite(rng, n, condition))
    assert condition / (2 * n * n) <= factor.condition <= condition * n * n


@given(random_generators(), st.integers(2, 8), st.data())
def test_a_singular_matrix_gives_the_solution_of_least_norm(rng, n, data):
    rank = data.draw(st.integers(1, n - 1))
    columns = rng.normal(size=(30, rank)) @ rng.normal(size=(rank, n))
    scale = 10.0 ** rng.integers(-3, 4, n) if data.draw(st.booleans()) else np.ones(n)
    columns = columns * scale
    matrix = columns.T @ columns
    right = columns.T @ rng.normal(size=30)
    factor = Factor.of(matrix)
    found = factor.solve(right)
    residual = (matrix @ found - right) / scale
    np.testing.assert_allclose(residual, 0.0, atol=1e-7 * np.abs(right / scale).max())
    assert factor.condition > 1e12
    # Least norm: nothing of the null space in it.
    _, _, vectors = np.linalg.svd(columns)
    null = vectors[rank:]
    if scale.max() == scale.min():
        np.testing.assert_allclose(null @ found, 0.0, atol=1e-7 * max(np.abs(found).max(), 1e-300))


def test_small_units_are_not_taken_for_noise_beside_a_singular_pair(rng):
    """A doubled column, and another in units a billion times smaller than the rest."""
    X = rng.normal(size=(100, 3)) * [1.0, 1e9, 1e-9]
    X = np.column_stack([X, X[:, 0]])
    target = X @ [1.0, 2e-9, 3e9, 1.0]
    found = Factor.of(X.T @ X).solve(X.T @ target)
    np.testing.assert_allclose(found[[1, 2]], [2e-9, 3e9], rtol=1e-9)
    assert found[0] + found[3] == pytest.approx(2.0, rel=1e-9)


def test_the_condition_on_the_range_is_finite(rng):
    X = rng.normal(size=(50, 3))
    singular = Factor.of(np.pad(X.T @ X, (0, 1)))
    assert singular.condition == np.inf
    assert singular.condition_on_range < 100
    regular = Factor.of(X.T @ X)
    assert regular.condition_on_range == regular.condition


def test_a_matrix_of_zeros_moves_nothing():
    np.testing.assert_array_equal(Factor.of(np.zeros((3, 3))).solve(np.ones(3)), np.zeros(3))


@given(random_generators(), st.integers(2, 8), st.sampled_from([0.0, 1e-9, 1e-7, 1e-5]), st.data())
def test_columns_that_are_nearly_the_same_are_found(rng, n, difference, data):
    i, j = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=2, max_size=2)))
    rows = rng.normal(size=(50, n))
    rows[:, j] = rows[:, i] + difference * rng.normal(size=50)
    rows *= 10.0 ** rng.integers(-3, 4, n)
    assert Factor.of(rows.T @ rows).dependent() == (i, j)


@given(st.integers(0, 10_000), st.booleans())
def test_the_diagonal_of_the_inverse(seed, singular):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(9, 4))
    if singular:
        root[:, 3] = root[:, 0]
    matrix = root.T @ root
    expected = np.diag(np.linalg.pinv(matrix, rcond=1e-12, hermitian=True))
    np.testing.assert_allclose(Factor.of(matrix).inverse_diagonal(), expected, rtol=1e-6)


def correlated(condition, n=3):
    """A matrix of unit diagonal and about this condition number: its last two columns agree."""
    matrix = np.eye(n)
    matrix[-1, -2] = matrix[-2, -1] = 1.0 - 2.0 / condition
    return matrix


@pytest.mark.parametrize(("condition", "named"), [(3e9, ()), (3e10, (1, 2))])
def test_columns_are_called_dependent_beyond_ten_digits(condition, named):
    problem = problem_of(np.zeros((2, 3)), np.arange(2.0), HalfBinomialLoss(), fit_intercept=False)
    assert dependent_columns(problem, Factor.of(correlated(condition))) == named


def test_an_intercept_is_no_column():
    problem = problem_of(np.zeros((2, 2)), np.arange(2.0), HalfBinomialLoss())
    assert dependent_columns(problem, Factor.of(correlated(1e11))) == (1,)


def test_a_float32_matrix_is_formed_again_if_a_thousandth_would_be_lost():
    limit = 1e-3 / (4 * np.finfo(np.float32).eps)
    for share, needed in ((0.8, False), (1.3, True)):
        factor = Factor.of(correlated(share * limit, n=2))
        assert factor.condition == pytest.approx(share * limit, rel=0.02)
        assert needs_float64(factor, "float32") == needed
        assert not needs_float64(factor, "float64")


@pytest.mark.parametrize(("condition", "rank"), [(1e13, 3), (2e15, 2)])
def test_a_matrix_is_singular_beyond_fourteen_digits(condition, rank):
    assert Factor.of(correlated(condition)).rank == rank
