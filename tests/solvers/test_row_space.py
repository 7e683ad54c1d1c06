"""More columns than rows: the solution in the row space is the solution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.solvers import row_space
from dlbd_estimators.solvers.smooth.newton import Newton
from tests.solvers.dense import dense_decrement, problem_of, run
from tests.strategies import random_generators


def wide_rows(rng, n, p, n_classes, doubled):
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-2, 2, p) + rng.integers(0, 3, p) * 10.0
    if doubled:
        X[1] = X[0]
        X[:, 1] = X[:, 0]
    y = rng.integers(0, n_classes, n)
    y[:n_classes] = np.arange(n_classes)
    return X, y.astype(float)


@given(
    random_generators(),
    st.integers(4, 12),
    st.integers(1, 30),
    st.integers(2, 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_the_solution_is_that_of_all_columns(rng, n, more, n_classes, doubled, intercept, weighted):
    X, y = wide_rows(rng, n, n + more, n_classes, doubled)
    weight = rng.uniform(0.5, 2.0, n) if weighted else None
    loss = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss()
    outputs = 1 if n_classes == 2 else n_classes
    whole = problem_of(
        X, y, loss, n_outputs=outputs, strength=1.0, fit_intercept=intercept, weight=weight
    )
    reduced = row_space(whole, ThreadExecutor(1))
    assert reduced.packing.n_features <= n - intercept or doubled
    solution = run(Newton(), reduced, tol=1e-10, max_iter=100)
    assert len(solution.parameters) == whole.packing.size
    assert dense_decrement(whole, X, y, solution.parameters, weight) <= 1e-9


@given(random_generators(), st.integers(3, 10), st.integers(1, 20), st.booleans())
def test_coordinates_and_parameters_belong_together(rng, n, more, intercept):
    X, y = wide_rows(rng, n, n + more, 3, False)
    reduced = row_space(
        problem_of(X, y, HalfMultinomialLoss(), n_outputs=3, fit_intercept=intercept),
        ThreadExecutor(1),
    )
    z = rng.normal(size=reduced.packing.size)
    there = reduced.original(z)
    np.testing.assert_allclose(reduced.coordinates(there), z, rtol=1e-6, atol=1e-6)
    coef, shift = reduced.packing.unpack(z)
    rows = reduced.blocks.loader.X
    whole_coef, whole_shift = reduced.original_packing.unpack(there)
    scale = np.abs(rows @ coef.T).max() + 1.0
    np.testing.assert_allclose(
        X @ whole_coef.T + whole_shift, rows @ coef.T + shift, atol=1e-9 * scale
    )


@pytest.mark.parametrize("solver", ["auto", "newton", "newton_cg"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_columns_of_few_rows_in_little_memory(solver, dtype, rng):
    X = rng.normal(size=(30, 20_000)).astype(dtype)
    y = np.arange(30) % 3
    model = LogisticRegression(solver=solver).fit(X, y)
    assert model.history_[-1]["error"] <= model.tol
    assert model.coef_.shape == (3, 20_000)
    np.testing.assert_allclose(model.intercept_.sum(), 0.0, atol=1e-10)
    peer = LogisticRegression(solver="lbfgs", max_iter=1000).fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-6 * np.abs(model.coef_).max())


def test_ridge_of_many_columns_and_few_rows(rng):
    X = rng.normal(size=(30, 5000)) + 3.0
    y = X[:, 0] + rng.normal(size=30)
    model = Ridge(alpha=2.0).fit(X, y)
    centred, target = X - X.mean(axis=0), y - y.mean()
    dual = np.linalg.solve(centred @ centred.T + 2.0 * np.eye(30), target)
    np.testing.assert_allclose(model.coef_, centred.T @ dual, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, y.mean() - X.mean(axis=0) @ model.coef_)


def test_a_start_is_taken_over(rng):
    X, y = wide_rows(rng, 20, 60, 3, False)
    model = LogisticRegression(warm_start=True).fit(X, y)
    again = model.fit(X, y)
    assert again.n_iter_[0] == 1


def test_a_nan_is_named_by_its_row_and_column(rng):
    X, y = wide_rows(rng, 20, 60, 2, False)
    X[7, 31] = np.nan
    with pytest.raises(NonFiniteValues, match=r"NaN at row 7 .*column 31"):
        LogisticRegression().fit(X, y)


def test_constant_columns_alone(rng):
    y = rng.integers(0, 2, 10)
    y[:2] = [0, 1]
    model = LogisticRegression().fit(np.ones((10, 20)), y)
    np.testing.assert_allclose(model.coef_, 0.0, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, np.log(y.mean() / (1 - y.mean())), rtol=1e-6)
