"""Objective, duality gap and error that coordinate descent reports, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.proximal import coordinate_descent
from dlbd_estimators.solvers.proximal.certificate import certify, error_of_descent
from dlbd_estimators.solvers.proximal.coordinate_descent import CoordinateDescent
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import answer
from tests.solvers.proximal.exact import minimum
from tests.solvers.steps import problem_for, relative_error, small, steps_of


def centred(X, y, weight, l2, *, fit_intercept):
    """Rows and targets whose squares are the objective: centred, weighted, and for the l2 norm."""
    share = np.sqrt(weight / weight.sum())[:, None]
    middle = np.average(X, axis=0, weights=weight) if fit_intercept else 0.0
    mean = np.average(y, axis=0, weights=weight) if fit_intercept else 0.0
    rows = np.vstack([(X - middle) * share, np.sqrt(l2) * np.eye(X.shape[1])])
    return rows, np.vstack([(y - mean) * share, np.zeros((X.shape[1], y.shape[1]))])


def measured(problem, asks):
    """Return the result of a generator whose passes run on the blocks of the problem."""

    def run(asked):
        with ThreadExecutor(1) as executor:
            return executor.map_reduce(
                asked.kernel, asked.parameters, problem.blocks, name=asked.name
            ).partial

    return answer(asks, run)


def objective(rows, targets, l1, coef):
    return 0.5 * ((targets - rows @ coef.T) ** 2).sum(axis=0) + l1 * np.abs(coef).sum(axis=1)


def dual_gap(rows, targets, l1, coef, *, positive):
    """The objective less the dual function at the residuals, scaled until they are admissible."""
    residuals = targets - rows @ coef.T
    slopes = rows.T @ residuals
    largest = (slopes if positive else np.abs(slopes)).max(axis=0)
    point = residuals * np.minimum(1.0, l1 / np.maximum(largest, 1e-300))
    dual = 0.5 * (targets**2).sum(axis=0) - 0.5 * ((targets - point) ** 2).sum(axis=0)
    return objective(rows, targets, l1, coef) - dual


@pytest.mark.parametrize("l1", [0.5, 0.0])
@pytest.mark.parametrize("positive", [False, True])
@settings(max_examples=5)
@given(
    seed=st.integers(0, 1_000),
    distance=st.sampled_from([1e-3, 0.1, 3.0]),
    l2=st.sampled_from([0.0, 0.2]),
    fit_intercept=st.booleans(),
)
def test_the_certificate_of_a_point(seed, distance, l1, l2, positive, fit_intercept):
    X, y, weight = small("targets", seed=seed, n=40)
    total = weight.sum()
    problem = problem_for(
        "targets",
        X,
        y,
        weight,
        strength=l2 * total,
        fit_intercept=fit_intercept,
        l1=L1(l1 * total, positive),
    )
    rows, targets = centred(X, y, weight, l2, fit_intercept=fit_intercept)
    gram, linear = rows.T @ rows, rows.T @ targets
    best = np.array([minimum(gram, column, l1, positive=positive) for column in linear.T])
    first = steps_of(CoordinateDescent(), problem, max_iter=1)[0]
    problem = problem.with_known(first.known)
    rng = np.random.default_rng(seed)
    coef = best * (1.0 + distance * rng.normal(size=best.shape))
    coef = np.maximum(coef, 0.0) if positive else coef
    centre = np.average(X, axis=0, weights=weight) if fit_intercept else np.zeros(4)
    intercept = rng.normal(size=2) if fit_intercept else np.zeros(2)
    found = measured(problem, certify(problem, coef, intercept, centre, first.model))
    np.testing.assert_allclose(found.value, objective(rows, targets, l1, coef).sum(), rtol=1e-9)
    spread = (targets**2).sum(axis=0)
    if l1:
        gaps = dual_gap(rows, targets, l1, coef, positive=positive)
        np.testing.assert_allclose(found.gaps, gaps, rtol=1e-6, atol=1e-12 * spread.max())
    above = objective(rows, targets, l1, coef) - objective(rows, targets, l1, best)
    assert (above <= found.gaps + 1e-12 * spread).all()
    if not (l1 or positive):  # the quadratic itself gives the distance to its minimum
        np.testing.assert_allclose(found.gaps, above, rtol=1e-5, atol=1e-11 * spread.max())
    if fit_intercept:
        wanted = np.average(y, axis=0, weights=weight) - coef @ centre
        np.testing.assert_allclose(found.intercept, wanted, rtol=1e-9, atol=1e-9)
    # The part of the gradient that the norm does not balance, in the metric of the Hessian.
    descent = (linear - gram @ coef.T).T
    np.testing.assert_allclose(found.descent, descent, atol=1e-9 * np.abs(linear).max())
    size = descent if positive else np.abs(descent)
    at_zero = np.sign(descent) * np.maximum(size - l1, 0.0)
    left = np.where(coef != 0, descent - l1 * np.sign(coef), at_zero)
    inverse = np.linalg.inv(gram)
    decrement = np.sqrt(np.einsum("ki,ij,kj->", left, inverse, left))
    point = problem.packing.pack(coef, found.intercept)
    diagonal = problem.packing.pack(np.tile(np.diag(inverse), (2, 1)), np.zeros(2))
    error = error_of_descent(problem, first.moments, first.model, found.descent, point)
    if not fit_intercept:  # the units of columns are then their root mean squares
        X, weight = np.vstack([X, -X]), np.tile(weight, 2)
    expected = decrement * relative_error(problem, point, X, weight, diagonal, problem.unit)
    assert error == pytest.approx(expected, rel=1e-5, abs=1e-12)
    spread = np.sqrt(np.cov(X.T, aweights=weight, bias=True).diagonal())
    wrong = (np.abs(coef - best) * spread).max(axis=1)
    largest = (np.abs(coef) * spread).max(axis=1)
    assert (wrong <= error * largest * (1 + 1e-9) + 1e-12)[largest > 0].all()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l1", [0.5, 0.0])
def test_two_passes_and_the_objective_after_each(l1, fit_intercept, positive):
    X, y, weight = small("targets")
    total = weight.sum()
    problem = problem_for(
        "targets",
        X,
        y,
        weight,
        strength=0.1 * total,
        fit_intercept=fit_intercept,
        l1=L1(l1 * total, positive),
    )
    rows, targets = centred(X, y, weight, 0.1, fit_intercept=fit_intercept)
    gram, linear = rows.T @ rows, rows.T @ targets
    best = np.array([minimum(gram, column, l1, positive=positive) for column in linear.T])
    states = steps_of(CoordinateDescent(), problem)
    # Rounding may ask for one more pass if all coefficients of a target are tiny.
    assert [state.n_passes for state in states] in ([1, 2], [1, 2, 3] if positive else [1, 2])
    for state in states:
        coef, _ = problem.packing.unpack(state.parameters)
        np.testing.assert_allclose(coef, best, rtol=1e-8, atol=1e-12)
        assert state.value == pytest.approx(objective(rows, targets, l1, best).sum(), rel=1e-12)
        assert state.step == 1.0
    assert states[0].error == np.inf
    assert states[-1].error <= (1e-9 if positive else 1e-11)
    assert states[-1].error_is == "bound"
    slope = np.abs(linear - gram @ best.T).max()
    assert states[-1].gradient_norm == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("errors", "n_passes", "error", "status"),
    [
        ((1e-3, 9e-4), 3, 9e-4, Status.STALLED),  # less than half of it was mended
        ((1e-3, 4e-4, 1e-4, 9e-5), 5, 9e-5, Status.STALLED),
        ((1e-3, 2e-3), 3, 1e-3, Status.STALLED),  # the point before was better
        ((1e-3, 1e-9), 3, 1e-9, Status.CONVERGED),
        ((2e-8, 1e-8), 3, 1e-8, Status.CONVERGED),
    ],
)
def test_when_corrections_end(errors, n_passes, error, status, monkeypatch):
    left = list(errors)
    monkeypatch.setattr(coordinate_descent, "error_of_descent", lambda *_: left.pop(0))
    X, y, weight = small("targets")
    problem = problem_for("targets", X, y, weight, strength=1.0, l1=L1(0.5 * weight.sum()))
    states = steps_of(CoordinateDescent(), problem, tol=1e-8)
    assert states[-1].n_passes == n_passes == len(states)
    assert (states[-1].error, states[-1].status) == (error, status)
    assert not left
    if error == errors[0]:
        np.testing.assert_array_equal(states[-1].parameters, states[0].parameters)


def test_products_of_few_float32_columns_need_no_correction():
    X, y, weight = small("targets")
    X = X.astype(np.float32)
    problem = problem_for("targets", X, y, weight, strength=1.0, l1=L1(0.5 * weight.sum()))
    states = steps_of(CoordinateDescent(), problem, tol=1e-8)
    assert [state.status for state in states] == [None, Status.CONVERGED]
    assert states[-1].error <= 1e-12


def test_products_of_many_float32_columns_are_corrected(monkeypatch):
    X, y, weight = small("targets")
    X = X.astype(np.float32)
    monkeypatch.setattr(coordinate_descent, "_FEW_FEATURES", X.shape[1] - 1)
    problem = problem_for("targets", X, y, weight, strength=1.0, l1=L1(0.5 * weight.sum()))
    states = steps_of(CoordinateDescent(), problem, tol=1e-10)
    assert states[0].moments.epsilon == np.finfo(np.float32).eps
    assert [state.status for state in states] == [None, None, Status.CONVERGED]
    monkeypatch.setattr(coordinate_descent, "_FEW_FEATURES", X.shape[1])
    precise = steps_of(CoordinateDescent(), problem, tol=1e-10)
    np.testing.assert_allclose(states[-1].parameters, precise[-1].parameters, rtol=1e-9)


def test_float32_products_are_formed_again_if_they_cannot_mend_an_error(monkeypatch):
    monkeypatch.setattr(coordinate_descent, "_FEW_FEATURES", 0)
    left = [1e-3, 9e-4, 1e-9]
    monkeypatch.setattr(coordinate_descent, "error_of_descent", lambda *_: left.pop(0))
    X, y, weight = small("targets")
    X = X.astype(np.float32)
    problem = problem_for("targets", X, y, weight, strength=1.0, l1=L1(0.5 * weight.sum()))
    states = steps_of(CoordinateDescent(), problem, tol=1e-8)
    # Moments and certificate, correction; then both again.
    assert [state.precise for state in states] == [False, False, True, True, True]
    assert states[0].moments.epsilon == np.finfo(np.float32).eps
    assert states[-1].moments.epsilon == np.finfo(float).eps
    assert states[-1].status is Status.CONVERGED


def test_a_fit_that_rounding_ends_is_stalled():
    X, y, weight = small("targets")
    problem = problem_for("targets", X, y, weight, strength=1.0, l1=L1(0.5 * weight.sum()))
    states = steps_of(CoordinateDescent(), problem, tol=0.0)
    assert len(states) <= 5
    assert states[-1].status is Status.STALLED
    # `error` is infinite until the duality gap is at most `tol`: zero, which rounding decides.
    assert states[-1].certified == min(state.certified for state in states) <= 1e-11
