"""Losses against formulas written another way, and against their own difference quotients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import xlogy

from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
)
from tests.strategies import LOSSES, losses, raw_predictions, targets, weights

STEP = 1e-20  # of a complex step: there is no difference, so no cancellation


def analytic(loss, y, raw):
    """Sum of losses by the textbook formula, which accepts complex numbers and overflows."""
    if isinstance(loss, HalfSquaredError):
        return 0.5 * np.sum((raw - y) ** 2)
    if isinstance(loss, HalfPoissonDeviance):
        return np.sum(np.exp(raw) - y * raw + xlogy(y, y) - y)
    if isinstance(loss, HalfBinomialLoss):
        return np.sum(np.log(1.0 + np.exp(raw)) - y.reshape(raw.shape) * raw)
    if isinstance(loss, HalfMultinomialLoss):
        rows = np.arange(len(raw))
        return np.sum(np.log(np.exp(raw).sum(axis=1)) - raw[rows, y.astype(int)])
    raise NotImplementedError(f"Write the formula of {type(loss).__name__} here.")


@st.composite
def cases(draw, *, moderate=False):
    loss, n_outputs = draw(losses())
    n_rows = draw(st.integers(1, 12))
    raw = draw(raw_predictions(n_rows, n_outputs))
    if moderate:
        raw = np.clip(raw, -8.0, 8.0)
    elif isinstance(loss, HalfPoissonDeviance):
        raw = np.minimum(raw, 690.0)  # beyond 709 the deviance itself is not a number of float64
    return loss, draw(targets(loss, n_rows, n_outputs)), raw, draw(weights(n_rows))


def weighted(weight, n_rows):
    return np.ones(n_rows) if weight is None else weight


@given(cases(moderate=True))
def test_value_is_the_formula(case):
    loss, y, raw, weight = case
    each = [analytic(loss, y[i : i + 1], raw[i : i + 1]) for i in range(len(raw))]
    expected = np.dot(each, weighted(weight, len(raw)))
    value = loss.evaluate(y, raw, weight, Order.VALUE).value
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("kind", LOSSES)
@given(data=st.data(), n_outputs=st.integers(2, 6))
def test_value_at_zero_is_that_of_any_row(kind, data, n_outputs):
    loss = kind()
    expected = loss.value_at_zero(n_outputs)
    for y in np.split(data.draw(targets(loss, 3, n_outputs)), 3):
        value = loss.evaluate(y, np.zeros((1, n_outputs)), None, Order.VALUE).value
        assert expected is None or value == pytest.approx(expected)


@given(cases(moderate=True))
def test_gradient_is_the_complex_step_of_the_formula(case):
    loss, y, raw, weight = case
    gradient = loss.evaluate(y, raw, weight, Order.GRADIENT).gradient
    assert gradient.shape == raw.shape
    for k in range(raw.shape[1]):
        moved = raw.astype(complex)
        moved[:, k] += 1j * STEP
        slopes = [
            analytic(loss, y[i : i + 1], moved[i : i + 1]).imag / STEP for i in range(len(raw))
        ]
        expected = np.array(slopes) * weighted(weight, len(raw))
        np.testing.assert_allclose(gradient[:, k], expected, rtol=1e-12, atol=1e-13)


@given(cases(moderate=True))
def test_gradient_is_the_central_difference_of_the_value(case):
    loss, y, raw, weight = case
    gradient = loss.evaluate(y, raw, weight, Order.GRADIENT).gradient
    h = 1e-5
    for k in range(raw.shape[1]):
        change = np.zeros_like(raw)
        change[:, k] = h
        up = loss.evaluate(y, raw + change, weight, Order.VALUE).value
        down = loss.evaluate(y, raw - change, weight, Order.VALUE).value
        allowed = 1e-6 + 1e-10 * up  # the difference of two numbers as large as `up`
        assert gradient[:, k].sum() == pytest.approx((up - down) / (2 * h), abs=allowed, rel=1e-7)


@given(cases(moderate=True))
def test_curvature_is_the_difference_of_gradients(case):
    loss, y, raw, weight = case
    curvature = loss.evaluate(y, raw, weight, Order.HESSIAN).curvature
    h = 1e-5
    for j in range(raw.shape[1]):
        change = np.zeros_like(raw)
        change[:, j] = h
        up = loss.evaluate(y, raw + change, weight, Order.GRADIENT).gradient
        down = loss.evaluate(y, raw - change, weight, Order.GRADIENT).gradient
        for k in range(raw.shape[1]):
            np.testing.assert_allclose(
                loss.curvature_between(curvature, k, j),
                (up[:, k] - down[:, k]) / (2 * h),
                rtol=1e-7,
                atol=1e-8,
            )


@given(cases())
def test_extreme_raw_predictions_stay_finite_and_in_bounds(case):
    loss, y, raw, weight = case
    before = raw.copy()
    point = loss.evaluate(y, raw, weight, Order.HESSIAN)
    np.testing.assert_array_equal(raw, before)
    if isinstance(loss, HalfSquaredError) and np.abs(raw).max() > 1e100:
        return  # a square of 1e150 fits, a sum of its squares does not
    assert math.isfinite(point.value)
    assert point.value >= 0.0
    assert np.isfinite(point.gradient).all()
    for k in range(raw.shape[1]):
        own = loss.curvature_between(point.curvature, k, k)
        each = loss.curvature_of_each(point.curvature, raw.shape[1])
        np.testing.assert_allclose(each[:, k], own, rtol=1e-12)
        assert np.all(own >= 0.0)
        if loss.curvature_bound < math.inf:
            bound = loss.curvature_bound * weighted(weight, len(raw))
            assert np.all(own <= bound * (1 + 1e-12))


@given(cases())
def test_lower_orders_return_the_same_numbers(case):
    loss, y, raw, weight = case
    full = loss.evaluate(y, raw, weight, Order.HESSIAN)
    some = loss.evaluate(y, raw, weight, Order.GRADIENT)
    few = loss.evaluate(y, raw, weight, Order.VALUE)
    assert few.value == some.value == full.value
    np.testing.assert_array_equal(some.gradient, full.gradient)
    assert some.curvature is None
    assert few.gradient is None


@given(cases(moderate=True))
def test_float32_in_float32_out(case):
    """Networks of single precision must not be widened on the way, nor lose digits."""
    loss, y, raw, weight = case
    raw = raw.astype(np.float32)
    exact = loss.evaluate(y, raw.astype(np.float64), weight, Order.GRADIENT)
    narrow = None if weight is None else weight.astype(np.float32)
    point = loss.evaluate(y.astype(np.float32), raw, narrow, Order.GRADIENT)
    assert point.gradient.dtype == np.float32
    assert point.value == pytest.approx(exact.value, rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(point.gradient, exact.gradient, rtol=1e-5, atol=1e-5)


@given(cases(moderate=True))
def test_targets_of_one_output_may_be_a_vector_or_a_column(case):
    loss, y, raw, weight = case
    if raw.shape[1] > 1:
        return
    vector = loss.evaluate(y.reshape(-1), raw, weight, Order.HESSIAN)
    column = loss.evaluate(y.reshape(-1, 1), raw, weight, Order.HESSIAN)
    assert vector.value == column.value
    np.testing.assert_array_equal(vector.gradient, column.gradient)
    np.testing.assert_array_equal(vector.curvature, column.curvature)


@given(st.sampled_from([HalfSquaredError(), HalfPoissonDeviance(), HalfBinomialLoss()]), st.data())
def test_outputs_that_are_not_coupled_are_losses_of_their_own(loss, data):
    n_outputs = data.draw(st.integers(2, 4))
    raw = data.draw(raw_predictions(7, n_outputs).map(lambda raw: np.clip(raw, -20, 20)))
    y, weight = data.draw(targets(loss, 7, n_outputs)), data.draw(weights(7))
    whole = loss.evaluate(y, raw, weight, Order.GRADIENT)
    each = [loss.evaluate(y[:, [k]], raw[:, [k]], weight, Order.GRADIENT) for k in range(n_outputs)]
    assert whole.value == pytest.approx(sum(one.value for one in each), rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(whole.gradient, np.hstack([one.gradient for one in each]))


def test_a_count_that_is_met_has_no_deviance():
    y = np.array([[0.0, 1.0], [3.0, 7.0]])
    raw = np.log(np.maximum(y, 1e-300))
    point = HalfPoissonDeviance().evaluate(y, raw, None, Order.GRADIENT)
    assert point.value == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(point.gradient, 0.0, atol=1e-14)


def test_saturated_rows_have_the_right_limits():
    loss = HalfBinomialLoss()
    raw = np.array([[-800.0], [800.0], [-800.0], [800.0]])
    y = np.array([0.0, 1.0, 1.0, 0.0])
    point = loss.evaluate(y, raw, None, Order.HESSIAN)
    assert point.value == 1600.0
    np.testing.assert_array_equal(point.gradient[:, 0], [0.0, 0.0, -1.0, 1.0])
    # Far down the tail the loss is exp(raw), not rounded to zero.
    tail = loss.evaluate(np.zeros(1), np.array([[-40.0]]), None, Order.GRADIENT)
    assert tail.value == pytest.approx(math.exp(-40), rel=1e-12)
    assert tail.gradient[0, 0] == pytest.approx(math.exp(-40), rel=1e-12)


@given(st.integers(2, 5), st.data())
def test_multinomial_does_not_see_a_shift_common_to_all_classes(n_classes, data):
    loss = HalfMultinomialLoss()
    raw = data.draw(raw_predictions(6, n_classes).map(lambda raw: np.clip(raw, -50, 50)))
    y = data.draw(targets(loss, 6, n_classes))
    here = loss.evaluate(y, raw, None, Order.HESSIAN)
    there = loss.evaluate(y, raw + 7.0, None, Order.HESSIAN)
    assert there.value == pytest.approx(here.value, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(here.gradient.sum(axis=1), 0.0, atol=1e-14)
    rows = [
        sum(loss.curvature_between(here.curvature, k, j) for j in range(n_classes))
        for k in range(n_classes)
    ]
    np.testing.assert_allclose(rows, 0.0, atol=1e-14)


@given(raw_predictions(6, 1).map(lambda raw: np.clip(raw, -30, 30)), st.data())
def test_two_classes_of_softmax_are_the_binomial_loss(raw, data):
    y = data.draw(targets(HalfBinomialLoss(), 6, 1))
    binomial = HalfBinomialLoss().evaluate(y, raw, None, Order.GRADIENT)
    both = np.hstack([np.zeros_like(raw), raw])
    softmax = HalfMultinomialLoss().evaluate(y, both, None, Order.GRADIENT)
    assert softmax.value == pytest.approx(binomial.value, rel=1e-12)
    np.testing.assert_allclose(softmax.gradient[:, 1], binomial.gradient[:, 0], atol=1e-15)


def test_errors_count_rows_without_a_positive_margin():
    raw = np.array([[1.0], [-1.0], [0.0], [2.0]])
    assert HalfBinomialLoss().n_errors(np.array([1.0, 0.0, 1.0, 0.0]), raw) == 2
    labels = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    raw = np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, 0.0], [2.0, 2.0]])
    assert HalfBinomialLoss().n_errors(labels, raw) == 2
    raw = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    assert HalfMultinomialLoss().n_errors(np.array([0.0, 0.0, 1.0]), raw) == 2


@given(losses(), st.data())
def test_spread_bounds_the_third_derivative(case, data):
    """|d/dt curvature along u| <= max_v |x v| times the curvature: generalised self-concordance."""
    loss, n_outputs = case
    raw = data.draw(raw_predictions(8, n_outputs).map(lambda raw: np.clip(raw, -5, 5)))
    y = data.draw(targets(loss, 8, n_outputs))
    move = data.draw(raw_predictions(1, n_outputs).map(lambda raw: np.clip(raw, -5, 5)))[0]

    def second(at):
        curvature = loss.evaluate(y, at, None, Order.HESSIAN).curvature
        return sum(
            move[k] * move[j] * loss.curvature_between(curvature, k, j)
            for k in range(n_outputs)
            for j in range(n_outputs)
        )

    h = 1e-4
    third = (second(raw + h * move) - second(raw - h * move)) / (2 * h)
    # With x = 1 for every row, the rows of `curvature_directions` are its raw changes.
    bound = np.abs(loss.curvature_directions(move[:, None])).max()
    assert np.all(np.abs(third) <= bound * second(raw) * (1 + 1e-5) + 1e-5)
