"""Three tiers of least squares: which one is taken, and that each is right."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators import LinearRegression, Ridge
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.solvers.smooth.gram import Gram
from tests.solvers.dense import problem_of, run

N, P = 4000, 6


def conditioned(rng, condition, dtype=np.float64):
    """Columns of unit scale, so that no scaling mends the condition number."""
    left, _ = np.linalg.qr(rng.normal(size=(N, P)))
    left -= left.mean(axis=0)
    right, _ = np.linalg.qr(rng.normal(size=(P, P)))
    X = (left * np.geomspace(1.0, 1.0 / condition, P)) @ right * np.sqrt(N)
    return X.astype(dtype)


def oracle(X, y, alpha=0.0):
    X = X.astype(np.longdouble)
    y = y.astype(np.longdouble)
    centre, middle = X.mean(axis=0), y.mean(axis=0)
    stacked = np.vstack([X - centre, np.sqrt(np.longdouble(alpha)) * np.eye(X.shape[1])])
    target = np.concatenate([y - middle, np.zeros(X.shape[1])])
    q, r = _householder(stacked, target)
    coef = np.zeros(X.shape[1], dtype=np.longdouble)
    for i in reversed(range(len(coef))):
        coef[i] = (q[i] - r[i, i + 1 :] @ coef[i + 1 :]) / r[i, i]
    return coef.astype(float), float(middle - centre @ coef)


def _householder(A, b):
    """Q^T b and R in extended precision, by modified Gram-Schmidt, twice."""
    A, n = A.copy(), A.shape[1]
    r = np.zeros((n, n), dtype=A.dtype)
    qtb = np.zeros(n, dtype=A.dtype)
    basis = np.zeros_like(A)
    for i in range(n):
        v = A[:, i].copy()
        for _ in range(2):
            for j in range(i):
                share = basis[:, j] @ v
                r[j, i] += share
                v -= share * basis[:, j]
        r[i, i] = np.sqrt(v @ v)
        basis[:, i] = v / r[i, i]
        qtb[i] = basis[:, i] @ b
    return qtb, r


@pytest.mark.parametrize(
    ("condition", "dtype", "tier"),
    [
        (1e2, np.float64, "moments"),
        (1e5, np.float64, "gradient"),
        (1e8, np.float64, "triangle"),
        (2.0, np.float32, "moments"),
        (30.0, np.float32, "gradient"),
        (1e3, np.float32, "triangle"),
    ],
)
def test_each_tier_is_taken_and_accurate(condition, dtype, tier, rng, monkeypatch):
    X = conditioned(rng, condition, dtype)
    truth = rng.normal(size=P)
    y = X @ truth + 0.01 * rng.normal(size=N) / condition + 3.0
    problem = problem_of(X, y, HalfSquaredError())
    kernels = []
    executor = ThreadExecutor(1)
    map_reduce = executor.map_reduce

    def watched(kernel, *args, **kwargs):
        kernels.append(type(kernel).__name__)
        return map_reduce(kernel, *args, **kwargs)

    monkeypatch.setattr(executor, "map_reduce", watched)
    solution = run(Gram(), problem, executor=executor)
    second = {"moments": [], "gradient": ["LinearKernel"], "triangle": ["TriangleKernel"]}[tier]
    assert kernels == ["MomentsKernel", *second]
    assert solution.n_passes == len(kernels) == solution.n_iter
    coef, intercept = problem.packing.unpack(solution.parameters)
    expected = oracle(X, y)
    allowed = 1e-5 if dtype == np.float32 else 1e-6
    error = np.linalg.norm(coef[0] - expected[0]) / np.linalg.norm(expected[0])
    assert error <= allowed
    assert intercept[0] == pytest.approx(expected[1], rel=allowed)


@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("condition", [1e2, 1e5, 1e8])
def test_ridge_of_any_condition(condition, alpha, rng):
    X = conditioned(rng, condition)
    y = X @ rng.normal(size=P) + 0.01 * rng.normal(size=N)
    model = Ridge(alpha=alpha).fit(X, y)
    coef, intercept = oracle(X, y, alpha)
    assert np.linalg.norm(model.coef_ - coef) <= 1e-6 * np.linalg.norm(coef)
    assert model.intercept_ == pytest.approx(intercept, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_rank_deficient_problem_gets_the_solution_of_least_norm(fit_intercept, rng):
    X = rng.normal(size=(N, 3))
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 1], np.zeros(N), np.full(N, 5.0)])
    y = X @ rng.normal(size=6) + rng.normal(size=N) + 2.0
    model = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    centre, middle = (X.mean(axis=0), y.mean()) if fit_intercept else (0.0, 0.0)
    coef, _, rank, singular = np.linalg.lstsq(X - centre, y - middle, rcond=1e-12)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9, atol=1e-12)
    assert model.rank_ == rank
    np.testing.assert_allclose(model.singular_[:rank], singular[:rank], rtol=1e-9)
    assert model.n_passes_ == 2


def test_more_columns_than_rows(rng):
    X, y = rng.normal(size=(8, 20)), rng.normal(size=8)
    model = LinearRegression().fit(X, y)
    coef, *_ = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-8)
    assert model.rank_ == 7


def test_each_target_has_its_own_penalty(rng):
    X, Y = rng.normal(size=(300, 4)), rng.normal(size=(300, 3))
    alphas = [0.0, 1.0, 100.0]
    model = Ridge(alpha=alphas).fit(X, Y)
    for k, alpha in enumerate(alphas):
        single = Ridge(alpha=alpha).fit(X, Y[:, k])
        np.testing.assert_allclose(model.coef_[k], single.coef_, rtol=1e-10)
        assert model.intercept_[k] == pytest.approx(single.intercept_)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e100])
def test_units_of_the_target_change_nothing(scale, rng):
    X = rng.normal(size=(500, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=500)
    expected = Ridge().fit(X, y)
    model = Ridge().fit(X, y * scale)
    np.testing.assert_allclose(model.coef_, expected.coef_ * scale, rtol=1e-9)
    assert model.n_passes_ == expected.n_passes_


@pytest.mark.parametrize("scale", [1e-18, 1e-9, 1e9, 1e15])
def test_units_of_float32_columns_change_nothing(scale, rng):
    """Squares of such columns leave the range of float32, or its normal numbers."""
    X = rng.normal(size=(500, 3)).astype(np.float32)
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=500)
    moved = X * np.array([1.0, 1.0, scale], dtype=np.float32)
    model = LinearRegression().fit(moved, y)
    exact = LinearRegression().fit(moved.astype(np.float64), y)
    np.testing.assert_allclose(model.coef_, exact.coef_, rtol=1e-5)


def test_a_constant_target(rng):
    model = LinearRegression().fit(rng.normal(size=(100, 2)), np.full(100, 7.0))
    np.testing.assert_allclose(model.coef_, 0.0, atol=1e-14)
    assert model.intercept_ == pytest.approx(7.0)
    assert model.n_passes_ == 1


def test_only_constant_columns(rng):
    model = LinearRegression().fit(np.full((100, 2), 3.0), rng.normal(size=100))
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.rank_ == 0
