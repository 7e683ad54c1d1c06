"""Activations against their textbook formulas, differentiated in two other ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.activations import ACTIVATIONS
from tests.strategies import DTYPES, random_generators

STEP = 1e-20  # of a complex step: there is no difference, so no cancellation
FORMULAS = {
    "identity": lambda z: z,
    "logistic": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z.real > 0, z, 0.0),
}
NAMES = st.sampled_from(sorted(FORMULAS))


@st.composite
def inputs(draw, *, away_from=0.0):
    """Float64 numbers that float32 has too, none of them nearer to 0 than asked."""
    rng = draw(random_generators())
    z = rng.normal(size=(draw(st.integers(1, 6)), 3)) * draw(st.sampled_from([0.1, 1.0, 10.0]))
    z += np.copysign(away_from, z)
    return z.astype(np.float32).astype(np.float64)


def applied(name, z):
    a = z.copy()
    ACTIVATIONS[name].apply(a)
    return a


def derivative(name, z):
    slope = np.ones_like(z)
    ACTIVATIONS[name].backpropagate(applied(name, z), slope)
    return slope


def test_each_is_found_by_its_own_name():
    assert set(ACTIVATIONS) == set(FORMULAS)
    assert all(activation.name == name for name, activation in ACTIVATIONS.items())


@given(NAMES, inputs())
def test_values_are_those_of_the_formula(name, z):
    np.testing.assert_allclose(applied(name, z), FORMULAS[name](z), rtol=1e-14, atol=1e-300)


@given(NAMES, inputs(away_from=1e-4), st.sampled_from(DTYPES))
def test_derivative_is_the_central_difference(name, z, dtype):
    h = 1e-5
    expected = (applied(name, z + h) - applied(name, z - h)) / (2 * h)
    slope = derivative(name, z.astype(dtype))
    assert slope.dtype == dtype
    allowed = 1e-9 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(slope, expected, rtol=allowed, atol=allowed)


@given(NAMES, inputs(away_from=1e-4))
def test_derivative_is_the_complex_step_of_the_formula(name, z):
    expected = FORMULAS[name](z + 1j * STEP).imag / STEP
    np.testing.assert_allclose(derivative(name, z), expected, rtol=1e-12, atol=1e-15)


@given(NAMES, inputs(), st.sampled_from(DTYPES), random_generators())
def test_errors_are_multiplied_by_the_derivative(name, z, dtype, rng):
    z = z.astype(dtype)
    error = rng.normal(size=z.shape).astype(dtype)
    expected = error * derivative(name, z)
    a = applied(name, z)
    before = a.copy()
    ACTIVATIONS[name].backpropagate(a, error)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_allclose(error, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_extreme_inputs_give_numbers(name, dtype):
    z = np.array([-np.finfo(dtype).max, -1e4, -0.0, 0.0, 1e4, np.finfo(dtype).max], dtype)
    a = applied(name, z)
    assert a.dtype == dtype
    assert np.isfinite(a).all()
    assert np.isfinite(derivative(name, z)).all()


@pytest.mark.parametrize("name", FORMULAS)
def test_a_value_that_is_not_a_number_stays_so(name):
    assert np.isnan(applied(name, np.array([np.nan]))).all()


def test_relu_does_not_move_what_is_exactly_at_its_kink():
    np.testing.assert_array_equal(derivative("relu", np.array([-1.0, 0.0, 1.0])), [0.0, 0.0, 1.0])
