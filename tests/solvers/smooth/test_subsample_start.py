"""Starting from a sample: fewer passes, the same answer, and no trust where it misleads."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from dlbd_estimators import LogisticRegression
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfPoissonDeviance
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers import Problem
from dlbd_estimators.solvers.smooth import output_curvature
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from tests.solvers.dense import answer, dense_decrement, problem_of, run

N, P = 200_000, 5
TOL = 1e-10


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, P)) * [1e-2, 1, 1, 1, 1e2] + [0, 0, 1, 0, 50]
    score = (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, -1.0, 0.5, 0.0, 0.3]
    return X, (score + rng.logistic(size=N) > 0.3).astype(float)


def decrement_of(model, X, y, strength=1.0, weight=None):
    problem = problem_of(X, y, HalfBinomialLoss(), strength=strength)
    parameters = problem.packing.pack(model.coef_, model.intercept_)
    return dense_decrement(problem, X, y, parameters, weight)


def cold(X, y):
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
    return run(Newton(), problem, start=np.zeros(P + 1), tol=TOL)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_a_sample_saves_passes_and_changes_nothing(solver, arrays):
    X, y = arrays
    model = LogisticRegression(solver=solver, tol=TOL).fit(X, y)
    assert decrement_of(model, X, y) <= 3 * TOL
    if solver == "newton":
        assert model.n_passes_ <= 3.5
        assert model.n_passes_ < cold(X, y).n_passes - 1
        assert model.n_passes_ != int(model.n_passes_)  # a sample counts by its share
    else:
        assert model.n_passes_ <= 15


def test_the_seed_chooses_the_sample_and_the_answer_hardly_depends_on_it(arrays):
    X, y = arrays
    models = [LogisticRegression(random_state=seed).fit(X, y) for seed in (0, 1, 1, None, None)]
    np.testing.assert_array_equal(models[1].coef_, models[2].coef_)
    np.testing.assert_array_equal(models[3].coef_, models[4].coef_)
    assert not np.array_equal(models[0].coef_, models[1].coef_)
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("order", ["class", "feature"])
def test_sorted_rows_change_nothing(order, solver, arrays):
    X, y = arrays
    rows = np.argsort(y if order == "class" else X[:, 0], kind="stable")
    model = LogisticRegression(solver=solver, tol=TOL).fit(X[rows], y[rows])
    assert decrement_of(model, X, y) <= 3 * TOL
    assert model.n_passes_ <= (8 if solver == "newton" else 30)
    if (order, solver) == ("class", "newton"):  # the sample misleads: the fit restarts at zero
        assert model.history_[0]["step"] == 0.0
        assert model.history_[0]["loss"] > np.log(2.0)
        assert model.history_[1]["loss"] == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_a_sample_that_says_nothing_about_the_rest_is_left(solver, rng):
    """Each block of its own kind: what holds on some holds on no other."""
    n_blocks, rows = 64, 500
    X = rng.normal(size=(n_blocks * rows, 2))
    block = np.repeat(np.arange(n_blocks), rows)
    X[block % 16 == 3] *= 40.0
    sign = np.where(block % 16 == 3, 1.0, -1.0)
    y = (sign * X[:, 0] + rng.logistic(size=len(X)) > 0).astype(float)
    lazy = da.from_array(X, chunks=(rows, 2))
    for seed in range(4):
        model = LogisticRegression(solver=solver, tol=TOL, random_state=seed)
        model.fit(lazy, da.from_array(y, chunks=rows))
        assert decrement_of(model, X, y) <= 3 * TOL


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_a_sample_without_weight_or_of_one_class_is_no_error(solver, arrays):
    X, y = arrays
    weight = np.zeros(N)
    weight[-1000:] = 1.0
    model = LogisticRegression(solver=solver, tol=TOL).fit(X, y, weight)
    assert decrement_of(model, X, y, weight=weight) <= 3 * TOL
    rare = np.zeros(N)
    rare[-40:] = y[-40:]
    model = LogisticRegression(solver=solver, tol=TOL).fit(X, rare)
    assert decrement_of(model, X, rare) <= 3 * TOL


def test_small_data_are_not_sampled(rng):
    X = rng.normal(size=(300, 3))
    problem = problem_of(X, (X[:, 0] > 0).astype(float), HalfBinomialLoss(), strength=1.0)
    with pytest.raises(StopIteration) as end:  # and no pass is asked for
        next(warm_start(problem, "test", problem.samples))
    assert end.value.value == (problem, None)


def steps_on_samples(problem, X, y, *, squared):
    """Return the points of Newton's method on each sample of counts, and the last point."""
    w, points = np.zeros(2), []
    for indices in problem.samples:
        rows = np.concatenate([np.arange(20 * block, 20 * block + 20) for block in indices])
        Z, penalty = np.column_stack([X[rows], np.ones(len(rows))]), np.array([5.0, 0.0]) / len(X)
        base, scale, slope, step, done = np.inf, 1.0, 0.0, np.zeros(2), False
        while not done:
            points.append(w)
            mean = np.exp(Z @ w)
            value = np.mean(mean - y[rows] * (Z @ w)) + 0.5 * penalty @ w**2
            if value > base - 1e-4 * scale * slope:
                scale /= 2
                w = w - scale * step
                continue
            gradient = Z.T @ (mean - y[rows]) / len(rows) + penalty * w
            hessian = (Z * mean[:, None]).T @ Z / len(rows) + np.diag(penalty)
            step = -np.linalg.solve(hessian, gradient)
            base, scale, slope = value, 1.0, -gradient @ step
            w = w + step
            done = (slope if squared else np.sqrt(slope)) <= 0.1 * np.sqrt(2 / len(rows))
    return points, w


@pytest.mark.parametrize("solver", ["newton", "newton_cg", "proximal_newton"])
def test_each_step_on_a_sample_is_that_of_the_formulas(solver, monkeypatch):
    """Newton's first step for counts is too long: it is halved until the value falls."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(960, 1))
    y = rng.poisson(np.exp(2.5 + 0.3 * X[:, 0])).astype(float)
    l1 = L1(1e-6) if solver == "proximal_newton" else None
    # A preconditioner from all rows of the sample is its Hessian, which makes each step exact.
    monkeypatch.setattr(output_curvature, "_ROWS_PER_PARAMETER", 1_000)
    problem = problem_of(X, y, HalfPoissonDeviance(), strength=5.0, l1=l1)
    lazy, labels = da.from_array(X, chunks=(20, 1)), da.from_array(y, chunks=20)
    problem = replace(problem, blocks=from_dask(lazy, labels, None))
    points, evaluate = [], Problem.evaluate

    def recorded(self, parameters, order, label, *, indices, **more):
        points.append((parameters, indices))
        return (yield from evaluate(self, parameters, order, label, indices=indices, **more))

    monkeypatch.setattr(Problem, "evaluate", recorded)

    def run_pass(asked):
        return executor.map_reduce(
            asked.kernel, asked.parameters, problem.blocks, name=asked.name, indices=asked.indices
        ).partial

    with ThreadExecutor(1) as executor:
        if solver == "newton":
            _, found = answer(warm_start(problem, "test", problem.samples), run_pass)
            assert found.weight == pytest.approx(960)
        else:
            found = answer(SOLVERS[solver]().init(problem, None), run_pass)
            assert found.from_sample
    expected, w = steps_on_samples(problem, X, y, squared=solver != "proximal_newton")
    assert [indices for _, indices in points[:: len(points) - 1]] == [*problem.samples]
    assert len(problem.samples) == 2
    np.testing.assert_allclose([point for point, _ in points], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.parameters, w, rtol=1e-4)


def test_unknown_chunk_lengths_are_sampled_too(arrays):
    X, y = arrays
    lazy, labels = da.from_array(X, chunks=(2000, P)), da.from_array(y, chunks=2000)
    keep = lazy[:, 1] > -10.0
    model = LogisticRegression().fit(lazy[keep], labels[keep])
    assert decrement_of(model, X, y) <= 3 * TOL
    assert model.n_passes_ <= 3.5


def test_a_warm_start_of_the_user_goes_before_a_sample(arrays):
    X, y = arrays
    model = LogisticRegression(warm_start=True, solver="newton").fit(X, y)
    coef = model.coef_.copy()
    model.fit(X, y)
    assert model.n_passes_ == 1
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9)
