"""Reports of least squares by moments after each pass, against formulas on whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.solvers.smooth.gram import Gram
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import dense_derivatives
from tests.solvers.steps import problem_for, relative_error, small, steps_of

EPSILON = np.finfo(float).eps


def nearly_dependent(X, share):
    """The same columns, of which the last two differ only by a share of their deviations."""
    X = X.copy()
    X[:, 3] = X[:, 2] + share * X[:, 3]
    return X


def solved(X, Y, weight, strengths, *, fit_intercept):
    """Coefficients, objective, Gram matrix, and the facts that errors are computed from."""
    mean = np.average(X, axis=0, weights=weight) if fit_intercept else np.zeros(X.shape[1])
    middle = np.average(Y, axis=0, weights=weight) if fit_intercept else np.zeros(Y.shape[1])
    rows, targets = X - mean, Y - middle
    gram = (rows * weight[:, None]).T @ rows
    root, eye = np.sqrt(weight)[:, None], np.eye(X.shape[1])
    coef, value, condition = [], 0.0, 1.0
    for k, strength in enumerate(strengths):
        stacked = np.vstack([rows * root, np.sqrt(strength) * eye])
        target = np.append(targets[:, k] * root[:, 0], np.zeros(len(eye)))
        w = np.linalg.lstsq(stacked, target, rcond=1e-15)[0]
        coef.append(w)
        value += 0.5 * np.sum((target - stacked @ w) ** 2) / weight.sum()
        matrix = gram + strength * eye
        scale = np.sqrt(np.diag(matrix))
        condition = max(condition, np.linalg.cond(matrix / scale / scale[:, None], 1))
    unit = np.sqrt((weight @ targets**2).sum() / weight.sum())
    return np.array(coef), value, gram, condition, unit


def in_units(X, weight, *, fit_intercept):
    """Rows whose variances are the units: without an intercept, mean squares about zero."""
    return (X, weight) if fit_intercept else (np.vstack([X, -X]), np.tile(weight, 2))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("strengths", [(0.0, 0.0), (3.0, 3.0), (0.5, 40.0)])
def test_one_pass_and_its_error(strengths, fit_intercept):
    X, Y, weight = small("targets")
    problem = problem_for("targets", X, Y, weight, fit_intercept=fit_intercept)
    problem = replace(problem, penalty=L2(np.array(strengths)))
    [state] = steps_of(Gram(), problem)
    coef, value, gram, condition, unit = solved(
        X, Y, weight, strengths, fit_intercept=fit_intercept
    )
    found, _ = problem.packing.unpack(state.parameters)
    np.testing.assert_allclose(found, coef, rtol=1e-9)
    assert (state.n_passes, state.step, state.gradient_norm) == (1, 1.0, 0.0)
    assert state.status is Status.CONVERGED
    assert state.value == pytest.approx(value, rel=1e-9)
    assert state.known.unit == pytest.approx(unit, rel=1e-12)
    size = np.sqrt((coef**2 @ np.diag(gram)).sum() / weight.sum())
    inverse = [
        np.diag(np.linalg.inv((gram + alpha * np.eye(4)) / weight.sum())) for alpha in strengths
    ]
    diagonal = problem.packing.pack(np.array(inverse), np.zeros(2))
    units = in_units(X, weight, fit_intercept=fit_intercept)
    error = EPSILON * np.sqrt(condition) * size
    error *= relative_error(problem, state.parameters, *units, diagonal, unit)
    assert state.error == pytest.approx(error, rel=1e-6)
    np.testing.assert_allclose(state.singular**2, np.linalg.eigvalsh(gram)[::-1], rtol=1e-9)
    assert state.rank == 4


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("noise", [1.0, 200.0])
def test_a_second_pass_for_the_gradient_squares_the_error(noise, fit_intercept):
    X, Y, weight = small("targets", noise=noise)
    X = nearly_dependent(X, 1e-6)
    problem = problem_for("targets", X, Y, weight, strength=0.0, fit_intercept=fit_intercept)
    first, second = steps_of(Gram(), problem)
    coef, value, gram, condition, _ = solved(X, Y, weight, (0.0, 0.0), fit_intercept=fit_intercept)
    middle = np.average(Y, axis=0, weights=weight) if fit_intercept else 0.0
    explained = np.einsum("ki,ij,kj->", coef, gram, coef)
    risk = EPSILON * condition * max(1.0, np.sqrt((weight @ (Y - middle) ** 2).sum() / explained))
    assert first.status is None
    assert first.error == pytest.approx(risk, rel=1e-2)
    assert second.error == pytest.approx(risk**2, rel=2e-2)
    assert second.status is Status.CONVERGED
    assert second.n_passes == 2
    assert second.value == pytest.approx(value, rel=1e-8)
    found = [problem.packing.unpack(state.parameters)[0] for state in (first, second)]
    before, after = (np.abs(one / coef - 1).max() for one in found)
    assert after < 1e-9
    assert after < 0.1 * before


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("strengths", [(3.0, 3.0), (0.5, 40.0)])
def test_a_second_pass_leads_from_any_point_to_the_minimum(strengths, fit_intercept):
    X, Y, weight = small("targets")
    problem = problem_for("targets", X, Y, weight, fit_intercept=fit_intercept)
    problem = replace(problem, penalty=L2(np.array(strengths)))
    [first] = steps_of(Gram(), problem)
    away = first.parameters + np.random.default_rng(1).normal(size=len(first.parameters))
    start = replace(first, parameters=away, status=None, error=np.inf, risk=1e-4)
    [second] = steps_of(Gram(), problem, start=start)
    np.testing.assert_allclose(second.parameters, first.parameters, rtol=1e-9)
    value, gradient, _ = dense_derivatives(problem, X, Y, away, weight)
    assert second.value == pytest.approx(value, rel=1e-9)
    assert second.gradient_norm == pytest.approx(np.abs(gradient).max(), rel=1e-9)
    assert (second.error, second.status) == (1e-8, Status.CONVERGED)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("strength", [0.0, 1e-14])
def test_a_second_pass_for_the_triangle(strength, fit_intercept):
    X, Y, weight = small("targets")
    X = nearly_dependent(X, 1e-8)
    problem = problem_for("targets", X, Y, weight, strength=strength, fit_intercept=fit_intercept)
    first, second = steps_of(Gram(), problem)
    coef, value, gram, _, unit = solved(
        X, Y, weight, (strength, strength), fit_intercept=fit_intercept
    )
    assert first.error > 1e-3
    assert second.n_passes == 2
    found, _ = problem.packing.unpack(second.parameters)
    np.testing.assert_allclose(found, coef, rtol=1e-5)
    assert second.value == pytest.approx(value, rel=1e-7)
    size = np.sqrt(np.trace(gram)) * np.linalg.norm(coef) / np.sqrt(weight.sum())
    mean = np.average(X, axis=0, weights=weight) if fit_intercept else 0.0
    _, singular, right = np.linalg.svd((X - mean) * np.sqrt(weight)[:, None], full_matrices=False)
    inverse = (right**2).T @ (weight.sum() / (singular**2 + strength))
    diagonal = problem.packing.pack(np.tile(inverse, (2, 1)), np.zeros(2))
    units = in_units(X, weight, fit_intercept=fit_intercept)
    error = EPSILON * size * relative_error(problem, second.parameters, *units, diagonal, unit)
    assert second.error == pytest.approx(error, rel=1e-4)
    np.testing.assert_allclose(second.singular, singular, rtol=1e-5)
    warned = EPSILON * size / unit > 1e-10
    assert second.status is (Status.STALLED if warned else Status.CONVERGED)
    assert second.dependent == ((2, 3) if warned else ())
