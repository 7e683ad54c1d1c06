"""Errors of coordinate descent on accumulated moments, against formulas on whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlbd_estimators.kernels.moments import MomentsKernel
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.kept_moments import Increment
from dlbd_estimators.solvers.proximal import incremental_descent
from dlbd_estimators.solvers.proximal.incremental_descent import IncrementalDescent
from dlbd_estimators.solvers.smooth.incremental_gram import IncrementalGram
from dlbd_estimators.solvers.status import Status
from tests.solvers.proximal.exact import minimum
from tests.solvers.proximal.test_coordinate_steps import centred, dual_gap, measured
from tests.solvers.steps import problem_for, small, steps_of

EPSILON = np.finfo(float).eps


def nearly_dependent(n_targets):
    """Columns of which two differ by a ten-thousandth, and both are used."""
    X, y, weight = small("targets")
    X[:, 3] = X[:, 2] + 1e-4 * X[:, 3]
    return X, y[:, :n_targets] + 3.0 * X[:, 2:3] + 2e4 * (X[:, 3:] - X[:, 2:3]), weight


def moments_of(problem):
    """Moments of half of the rows, given twice: the same as of all rows, up to the weight."""
    kernel = MomentsKernel(centre=True, precise=True)
    return measured(problem, problem.ask(kernel, None, "test"))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("l1", [1e-9, 0.5])
def test_the_error_has_that_of_the_rounding_of_moments(l1, n_targets, fit_intercept, monkeypatch):
    X, y, weight = nearly_dependent(n_targets)
    total = weight.sum()
    problem = problem_for(
        "targets" if n_targets == 2 else "target",
        X,
        y,
        weight,
        strength=1e-12 * total,
        fit_intercept=fit_intercept,
        l1=L1(l1 * total),
    )
    solver = IncrementalDescent(Increment(None))
    [state] = steps_of(solver, problem, tol=1e-6)
    rows, targets = centred(X, y, weight, 1e-12, fit_intercept=fit_intercept)
    gram, linear = rows.T @ rows, rows.T @ targets
    best = np.array([minimum(gram, column, l1) for column in linear.T])
    coef, _ = problem.packing.unpack(state.parameters)
    np.testing.assert_allclose(coef, best, rtol=1e-5, atol=1e-9 * np.abs(best).max())
    kept = (coef != 0).any(axis=0)
    block = gram[np.ix_(kept, kept)]
    scale = np.sqrt(np.diag(block))
    condition = np.linalg.cond(block / scale / scale[:, None], 1)
    plain = gram - 1e-12 * np.eye(4)
    explained = np.einsum("ki,ij,kj->", coef, plain, coef)
    noise = max(1.0, np.sqrt((targets**2).sum() / explained))
    risk = EPSILON * condition * noise
    assert kept.all() == (l1 < 0.1)  # only columns in use count
    assert risk < state.error < 1e-6
    assert state.status is Status.CONVERGED
    with monkeypatch.context() as patch:  # without the error of the solution for these moments
        patch.setattr(incremental_descent, "error_of_descent", lambda *_: 0.0)
        [rounded] = steps_of(solver, problem, tol=0.1 * risk)
    assert rounded.error == pytest.approx(risk, rel=1e-2)
    assert rounded.status is Status.STALLED
    assert state.n_passes == 1


@pytest.mark.parametrize("solver", [IncrementalGram, IncrementalDescent])
def test_moments_that_are_given_need_no_pass(solver):
    X, y, weight = small("targets")
    l1 = None if solver is IncrementalGram else L1(1.0)
    problem = problem_for("targets", X, y, weight, l1=l1)
    half = moments_of(problem)
    [state] = steps_of(solver(Increment(half, half)), problem)
    twice = problem_for(
        "targets", *(np.concatenate([array, array]) for array in (X, y, weight)), l1=l1
    )
    [expected] = steps_of(solver(Increment(None)), twice)
    assert (state.n_passes, expected.n_passes) == (0, 1)
    np.testing.assert_allclose(state.parameters, expected.parameters, rtol=1e-9)
    assert state.total.weight == 2 * weight.sum()
    if l1 is not None:
        share = 1.0 / (2 * weight.sum())
        rows, targets = centred(X, y, weight, share, fit_intercept=True)
        coef, _ = problem.packing.unpack(state.parameters)
        gaps = dual_gap(rows, targets, share, coef, positive=False)
        spread = (targets**2).sum(axis=0)
        np.testing.assert_allclose(state.gaps, gaps, atol=1e-10 * spread.max())
        slope = np.abs(rows.T @ (targets - rows @ coef.T)).max()
        assert state.gradient_norm == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_the_gaps_of_any_point_are_those_of_the_formulas(l2, fit_intercept, monkeypatch):
    """A solution far from the minimum has a gap that depends on every term."""
    X, y, weight = small("targets")
    total, solve = weight.sum(), incremental_descent.solve_moments

    def solved_badly(*args):
        solved = solve(*args)
        return replace(solved, parameters=0.7 * solved.parameters)

    conditions, risk = [], incremental_descent.rounding_risk

    def recorded(moments, coef, condition):
        conditions.append(condition)
        return risk(moments, coef, condition)

    monkeypatch.setattr(incremental_descent, "solve_moments", solved_badly)
    monkeypatch.setattr(incremental_descent, "rounding_risk", recorded)
    problem = problem_for(
        "targets",
        X,
        y,
        weight,
        strength=l2 * total,
        fit_intercept=fit_intercept,
        l1=L1(0.5 * total),
    )
    [state] = steps_of(IncrementalDescent(Increment(None)), problem)
    rows, targets = centred(X, y, weight, l2, fit_intercept=fit_intercept)
    coef, _ = problem.packing.unpack(state.parameters)
    gaps = dual_gap(rows, targets, 0.5, coef, positive=False)
    np.testing.assert_allclose(state.gaps, gaps, rtol=1e-8)
    slope = np.abs(rows.T @ (targets - rows @ coef.T)).max()
    assert state.gradient_norm == pytest.approx(slope, rel=1e-8)
    assert state.status is Status.STALLED
    kept = (coef != 0).any(axis=0)
    block = (rows.T @ rows)[np.ix_(kept, kept)]  # with the L2 penalty
    scale = np.sqrt(np.diag(block))
    assert conditions == [pytest.approx(np.linalg.cond(block / scale / scale[:, None], 1))]
