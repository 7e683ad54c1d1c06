"""Packing and the penalty on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from tests.strategies import random_generators

packings = st.builds(Packing, st.integers(1, 4), st.integers(0, 5), st.booleans())


@given(packings, random_generators())
def test_unpacking_undoes_packing(packing, rng):
    coef = rng.normal(size=(packing.n_outputs, packing.n_features))
    intercept = rng.normal(size=packing.n_outputs) * packing.fit_intercept
    packed = packing.pack(coef, intercept)
    assert packed.shape == (packing.size,)
    again = packing.unpack(packed)
    np.testing.assert_array_equal(again[0], coef)
    np.testing.assert_array_equal(again[1], intercept)
    again[0][...] = again[1][...] = np.nan  # copies
    assert np.isfinite(packed).all()


@st.composite
def strengths(draw, packing):
    rng = draw(random_generators())
    if draw(st.booleans()):
        return float(rng.choice([0.0, 0.3, 5.0]))
    return rng.choice([0.0, 0.3, 5.0], packing.n_outputs)


@given(st.data(), packings, random_generators())
def test_penalty_is_half_the_squared_norm_of_the_coefficients_alone(data, packing, rng):
    strength = data.draw(strengths(packing))
    penalty, parameters = L2(strength), rng.normal(size=packing.size)
    coef, _ = packing.unpack(parameters)
    expected = 0.5 * np.sum(np.broadcast_to(strength, packing.n_outputs)[:, None] * coef**2)
    assert penalty.value(packing, parameters) == pytest.approx(expected, rel=1e-13, abs=1e-300)
    assert penalty.active == bool(np.any(np.asarray(strength) > 0))


@given(st.data(), packings, random_generators())
def test_gradient_is_the_complex_step_and_the_hessian_its_difference(data, packing, rng):
    strength = data.draw(strengths(packing))
    penalty, parameters = L2(strength), rng.normal(size=packing.size)
    each = np.broadcast_to(strength, packing.n_outputs)[:, None]
    gradient = penalty.gradient(packing, parameters)
    for i in range(packing.size):
        moved = parameters.astype(complex)
        moved[i] += 1e-20j
        coef = moved.reshape(packing.shape)[:, : packing.n_features]
        slope = (0.5 * np.sum(each * coef**2)).imag / 1e-20
        assert gradient[i] == pytest.approx(slope, rel=1e-13, abs=1e-300)
        change = np.zeros(packing.size)
        change[i] = 0.5
        turned = penalty.gradient(packing, parameters + change) - gradient
        expected = np.zeros(packing.size)
        expected[i] = 0.5 * penalty.diagonal(packing)[i]
        np.testing.assert_allclose(turned, expected, atol=1e-14)
