"""The step of gradient descent with the best momentum, on quadratic functions and others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.smooth.conjugate_step import conjugate_step
from tests.strategies import random_generators


def positive(rng, n, condition):
    """A matrix of a given condition number."""
    basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return basis * np.geomspace(1.0, condition, n) @ basis.T


@given(random_generators(), st.integers(1, 6), st.floats(0.05, 20.0))
def test_a_quadratic_function_takes_as_many_steps_as_parameters(rng, n, wrong):
    """The lengths of the trial steps may be wrong: they are corrected."""
    hessian, metric = positive(rng, n, 100.0), Factor.of(positive(rng, n, 10.0))
    least = rng.normal(size=n)
    point, begun, length = least + rng.normal(size=n), None, wrong
    first = np.linalg.norm(point - least)
    for _ in range(n + 1):
        found = conjugate_step(
            point,
            hessian @ (point - least),
            begun,
            metric,
            length=length,
            growth=4.0,
            trusted=np.inf,
        )
        begun, point = (found.origin, found.gradient), found.origin + found.step
        length = found.length * rng.uniform(0.5, 2.0)
    assert np.linalg.norm(found.origin - least) <= 1e-6 * first


@given(random_generators(), st.integers(2, 6))
def test_steps_are_conjugate_and_lengths_the_best(rng, n):
    hessian, metric = positive(rng, n, 30.0), Factor.of(np.eye(n))
    point = rng.normal(size=n)
    options = {"growth": 4.0, "trusted": np.inf}
    one = conjugate_step(point, hessian @ point, None, metric, length=0.01, **options)
    np.testing.assert_allclose(one.step, -0.01 * hessian @ point)
    assert one.curvature is None
    end = point + one.step
    two = conjugate_step(
        end, hessian @ end, (one.origin, one.gradient), metric, length=0.01, **options
    )
    curvature = one.step @ hessian @ one.step
    assert two.step @ hessian @ one.step == pytest.approx(0.0, abs=1e-9 * curvature)
    assert two.gradient @ one.step == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(two.gradient, hessian @ two.origin, atol=1e-9)
    assert two.curvature == pytest.approx(curvature / (one.step @ one.step))
    best = -(one.gradient @ one.step) / curvature
    assert two.length == pytest.approx(0.01 * min(best, 4.0))


def slopes(points):
    """The gradients of the function of one parameter with these slopes at these points."""
    return {point: np.array([slope]) for point, slope in points.items()}


@pytest.mark.parametrize(("trusted", "extended"), [(0.0, 4.0), (0.5, 5.0), (10.0, 10.0)])
def test_a_step_is_extended_within_limits(trusted, extended):
    """The slope falls from 1 to 0.9 along a step of length 0.1: its best length is 1."""
    gradient = slopes({0.0: -1.0, 0.1: -0.9})
    found = conjugate_step(
        np.array([0.1]),
        gradient[0.1],
        (np.zeros(1), gradient[0.0]),
        Factor.of(np.eye(1)),
        length=0.1,
        growth=4.0,
        trusted=trusted,
    )
    assert found.origin[0] == pytest.approx(0.1 * extended)
    assert found.length == pytest.approx(0.4)


def test_momentum_is_never_negative():
    metric = np.array([[1.0, 0.8], [0.8, 1.0]])
    begun, end = (np.zeros(2), np.array([-1.0, 0.5])), np.array([0.0, 1.0])
    z = np.linalg.solve(metric, end)
    assert z @ (end - begun[1]) < 0.0
    found = conjugate_step(
        np.array([1.0, 0.0]),
        end,
        begun,
        Factor.of(metric),
        length=1.0,
        growth=4.0,
        trusted=np.inf,
    )
    np.testing.assert_allclose(found.step, -z)


def test_a_change_of_the_gradient_that_is_only_rounding_shows_no_curvature():
    point, gradient = np.array([1.0, 0.0]), np.array([1.0, 1.0])
    for change in (np.zeros(2), np.array([1e-15, 1.0]), np.array([-0.1, 0.0])):
        found = conjugate_step(
            point,
            gradient,
            (np.zeros(2), gradient - change),
            Factor.of(np.eye(2)),
            length=0.5,
            growth=4.0,
            trusted=np.inf,
        )
        assert found.curvature is None
        np.testing.assert_array_equal(found.origin, point)
        np.testing.assert_array_equal(found.step, -0.5 * gradient)


@given(random_generators(), st.integers(1, 5))
def test_the_squared_length_of_a_step_is_that_of_the_matrix(rng, n):
    """With an intercept, the step is first converted to centred features."""
    matrix, step = positive(rng, n + 1, 50.0), rng.normal(size=n + 1)
    assert Factor.of(matrix).square_norm(step) == pytest.approx(step @ matrix @ step)
    centred = Factor.of(matrix, Centring(Packing(1, n, True), rng.normal(size=n)))
    assert centred.square_norm(step) == pytest.approx(step @ matrix @ step)
