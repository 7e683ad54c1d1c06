"""The linear kernel against difference quotients, plain float64 NumPy, and itself in pieces."""

from __future__ import annotations

from dataclasses import fields
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlbd_estimators.kernels.linear_tiles as linear_module
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.centring import Centring, centre_of
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfSquaredError,
)
from dlbd_estimators.kernels.packing import Packing
from tests.kernels.alignment import misaligned
from tests.strategies import cuts, pieces, problems, random_generators, rows_of


def kernel_of(problem, order=Order.HESSIAN, **options):
    return LinearKernel(problem.loss, problem.packing, order, **options)


def everything(problem, **options):
    """A kernel that returns all it can."""
    p = problem.packing.n_features
    ellipsoid = (np.linspace(-1, 1, p), np.linspace(0.5, 2, p))
    return kernel_of(problem, ellipsoid=ellipsoid, moments=True, count_errors=True, **options)


def about_zero(sums):
    """Sums of the columns and of their squares, whatever they were shifted by."""
    first, second = sums.moments
    return np.stack(
        [
            first + sums.weight * sums.shift,
            second + sums.shift * (2 * first + sums.weight * sums.shift),
        ]
    )


def assert_close(left, right, rtol=1e-11, atol=1e-11):
    if left.moments is not None:
        np.testing.assert_allclose(about_zero(left), about_zero(right), rtol=rtol, atol=atol)
    for each in fields(left):
        if each.name in ("moments", "shift"):
            continue
        mine, other = getattr(left, each.name), getattr(right, each.name)
        if mine is None:
            assert other is None
        else:
            np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol, err_msg=each.name)


def assert_same_bits(left, right):
    for each in fields(left):
        mine, other = getattr(left, each.name), getattr(right, each.name)
        np.testing.assert_array_equal(mine, other, err_msg=each.name)


def oracle(problem):
    """Value, gradient and Hessian as the definition says, row by row in float64."""
    block, loss, packing, parameters = problem
    rows, z = packing.shape, block.X.astype(np.float64)
    if packing.fit_intercept:
        z = np.hstack([z, np.ones((len(z), 1))])
    W = parameters.reshape(rows)
    value, gradient = 0.0, np.zeros(rows)
    hessian = np.zeros((packing.n_outputs, rows[1]) * 2)
    for i in range(block.n_rows):
        weight = None if block.weight is None else block.weight[i : i + 1]
        point = loss.evaluate(block.y[i : i + 1], (W @ z[i])[None], weight, Order.HESSIAN)
        value += point.value
        gradient += np.outer(point.gradient[0], z[i])
        for k in range(packing.n_outputs):
            for j in range(packing.n_outputs):
                curvature = loss.curvature_between(point.curvature, k, j)[0]
                hessian[k, :, j] += curvature * np.outer(z[i], z[i])
    return value, gradient.ravel(), hessian.reshape(packing.size, packing.size)


@given(problems())
def test_sums_are_those_of_the_definition(problem):
    sums = kernel_of(problem)(problem.block, problem.parameters)
    value, gradient, hessian = oracle(problem)
    assert sums.value == pytest.approx(value, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(sums.gradient, gradient, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(sums.hessian, hessian, rtol=1e-11, atol=1e-11)
    weight = problem.block.weight
    assert sums.weight == pytest.approx(len(problem.block.X) if weight is None else weight.sum())
    assert sums.n_rows == problem.block.n_rows


@given(problems())
def test_gradient_is_the_central_difference_of_the_value(problem):
    kernel = kernel_of(problem, Order.GRADIENT)
    gradient = kernel(problem.block, problem.parameters).gradient
    h = 1e-5
    for i in range(problem.packing.size):
        change = np.zeros(problem.packing.size)
        change[i] = h
        up = kernel(problem.block, problem.parameters + change).value
        down = kernel(problem.block, problem.parameters - change).value
        assert gradient[i] == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=2e-5)


@given(problems())
def test_hessian_is_the_central_difference_of_the_gradient(problem):
    kernel = kernel_of(problem)
    hessian = kernel(problem.block, problem.parameters).hessian
    h = 1e-5
    for i in range(problem.packing.size):
        change = np.zeros(problem.packing.size)
        change[i] = h
        up = kernel(problem.block, problem.parameters + change).gradient
        down = kernel(problem.block, problem.parameters - change).gradient
        np.testing.assert_allclose(hessian[i], (up - down) / (2 * h), rtol=1e-5, atol=2e-5)


@given(problems())
def test_hessian_is_symmetric_and_never_negative(problem):
    hessian = kernel_of(problem)(problem.block, problem.parameters).hessian
    scale = max(np.abs(hessian).max(), 1.0)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-13 * scale)
    assert np.linalg.eigvalsh(hessian)[0] >= -1e-11 * scale


@st.composite
def far_problems(draw):
    """A problem with an intercept, and the same with columns that are far from zero."""
    problem = draw(problems(min_rows=2, dtypes=(np.float64,)))
    packing = Packing(problem.packing.n_outputs, problem.packing.n_features, True)
    parameters = draw(random_generators()).normal(size=packing.size)
    block = problem.block
    mean = 2.0 ** draw(st.integers(0, 33)) * np.where(np.arange(packing.n_features) % 2, -1, 1)
    # On a grid that both can hold: all that differs is where the columns lie.
    near = Block(np.round(block.X * 2**16) / 2**16, block.y, block.weight)
    far = Block(near.X + mean, block.y, block.weight)
    return problem.loss, packing, near, far, mean, parameters


def moved(kernel, sums, centre):
    """Gradient and Hessian for features less another centre."""
    centring = Centring(kernel.packing, centre - sums.centre)
    return centring.gradient(sums.gradient), centring.matrix(sums.hessian)


@given(far_problems(), st.data())
def test_a_centre_makes_sums_those_of_columns_near_zero(problem, data):
    loss, packing, near, far, mean, parameters = problem
    expected = LinearKernel(loss, packing, Order.HESSIAN, moments=True)(near, parameters)
    kernel = LinearKernel(loss, packing, Order.HESSIAN, moments=True, centre=mean)
    sizes = data.draw(cuts(near.n_rows))
    sums = reduce(kernel.combine, [kernel(each, parameters) for each in pieces(far, sizes)])
    for name in ("value", "gradient", "hessian"):
        np.testing.assert_allclose(
            getattr(sums, name), getattr(expected, name), rtol=1e-9, atol=1e-9, err_msg=name
        )
    sums.shift[: len(mean)] -= mean
    np.testing.assert_allclose(about_zero(sums), about_zero(expected), rtol=1e-9, atol=1e-9)


@given(far_problems(), st.data())
def test_centres_of_the_blocks_own_choice_lose_no_digits(problem, data):
    loss, packing, near, far, mean, _ = problem
    parameters = np.zeros(packing.size)  # a prediction far from zero would itself be rounded
    parameters.reshape(packing.shape)[:, -1] = np.linspace(-1, 1, packing.n_outputs)
    centre, scale = np.linspace(-1, 1, len(mean)) + mean, np.linspace(0.5, 2, len(mean))
    near_zero = LinearKernel(loss, packing, Order.HESSIAN, ellipsoid=(centre - mean, scale))
    expected = near_zero(near, parameters)
    kernel = LinearKernel(
        loss, packing, Order.HESSIAN, ellipsoid=(centre, scale), moments=True, own_centre=True
    )
    sizes = data.draw(cuts(near.n_rows))
    sums = reduce(kernel.combine, [kernel(each, parameters) for each in pieces(far, sizes)])
    gradient, hessian = moved(kernel, sums, mean)
    np.testing.assert_allclose(gradient, expected.gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(hessian, expected.hessian, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.radius, expected.radius, rtol=1e-9)


@given(problems(integer_weights=True), st.sampled_from([1.0, -3.0, 1e9]))
def test_a_centre_is_among_the_rows_that_weigh_and_exact_for_a_constant(problem, value):
    X, weight = problem.block.X.astype(np.float64), problem.block.weight
    X[weight == 0] = 1e300
    centre = centre_of(X, weight)
    present = X[weight > 0]
    assert np.all(centre >= present.min(axis=0) - 1e-12)
    assert np.all(centre <= present.max(axis=0) + 1e-12)
    constant = np.full((7, 2), value * 0.1)
    np.testing.assert_array_equal(centre_of(constant, None), constant[0])
    np.testing.assert_array_equal(centre_of(constant[:0], None), 0.0)
    constant[3, 1] = np.nan
    np.testing.assert_array_equal(centre_of(constant, None), [constant[0, 0], 0.0])


@given(problems())
def test_multinomial_derivatives_sum_to_zero_over_the_classes(problem):
    if not isinstance(problem.loss, HalfMultinomialLoss):
        return
    sums = kernel_of(problem)(problem.block, problem.parameters)
    outputs, width = problem.packing.shape
    scale = max(np.abs(sums.hessian).max(), 1.0)
    np.testing.assert_allclose(
        sums.gradient.reshape(outputs, width).sum(axis=0), 0.0, atol=1e-12 * scale
    )
    np.testing.assert_allclose(
        sums.hessian.reshape(outputs, width, outputs, width).sum(axis=2), 0.0, atol=1e-12 * scale
    )


@given(problems(), st.data())
def test_sums_do_not_depend_on_the_cut_into_blocks(problem, data):
    kernel = everything(problem)
    whole = kernel(problem.block, problem.parameters)
    sizes = data.draw(cuts(problem.block.n_rows))
    partials = [kernel(each, problem.parameters) for each in pieces(problem.block, sizes)]
    assert_close(reduce(kernel.combine, partials), whole)


@given(problems(), st.sampled_from([8, 9, 16]))
def test_sums_do_not_depend_on_the_tiles(problem, rows):
    kernel = everything(problem)
    whole = kernel(problem.block, problem.parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_module, "tile_rows", lambda *_, **__: rows)
        assert_close(kernel(problem.block, problem.parameters), whole)


@given(problems(), random_generators())
def test_sums_do_not_depend_on_the_order_of_rows(problem, rng):
    kernel = everything(problem)
    shuffled = rows_of(problem.block, rng.permutation(problem.block.n_rows))
    assert_close(kernel(shuffled, problem.parameters), kernel(problem.block, problem.parameters))


@given(problems(integer_weights=True))
def test_an_integer_weight_is_a_row_that_stands_several_times(problem):
    kernel = kernel_of(problem, moments=True)
    count = problem.block.weight.astype(int)
    repeated = rows_of(problem.block, np.repeat(np.arange(len(count)), count))
    repeated = Block(repeated.X, repeated.y)
    left = kernel(problem.block, problem.parameters)
    right = kernel(repeated, problem.parameters)
    left.n_rows = right.n_rows
    assert_close(left, right)


@given(problems(integer_weights=True))
def test_a_row_of_no_weight_is_absent(problem):
    kernel = everything(problem)
    present = rows_of(problem.block, problem.block.weight > 0)
    left = kernel(problem.block, problem.parameters)
    right = kernel(present, problem.parameters)
    left.n_rows, left.radius = right.n_rows, right.radius  # a bound may be larger
    assert_close(left, right)


@given(problems(dtypes=(np.float32,)))
def test_float32_rows_accumulate_in_float64(problem):
    """Value and gradient are those of the same numbers in float64, to float64's rounding."""
    block = problem.block
    wide = Block(block.X.astype(np.float64), block.y, block.weight)
    for dtype in ("float32", "float64"):
        kernel = kernel_of(problem, hessian_dtype=dtype)
        narrow, same = (kernel(each, problem.parameters) for each in (block, wide))
        assert narrow.value == same.value
        np.testing.assert_array_equal(narrow.gradient, same.gradient)
        exact = kernel_of(problem)(wide, problem.parameters).hessian
        size = max(np.abs(exact).max(), 1e-30)
        allowed = 1e-12 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(narrow.hessian, exact, rtol=0, atol=allowed * size)


def test_float32_sums_over_many_tiles_do_not_drift():
    """A running sum of 2^20 rows in float32 would be off in the third digit."""
    n = 2**20
    X = np.full((n, 1), 0.1, dtype=np.float32)
    kernel = LinearKernel(
        HalfSquaredError(), Packing(1, 1, True), Order.HESSIAN, hessian_dtype="float32"
    )
    sums = kernel(Block(X, np.zeros(n)), np.array([1.0, 0.0]))
    x = float(np.float32(0.1))
    assert sums.value == pytest.approx(n * x * x / 2, rel=1e-12)
    np.testing.assert_allclose(sums.gradient, [n * x * x, n * x], rtol=1e-12)
    np.testing.assert_allclose(sums.hessian, [[n * x * x, n * x], [n * x, n]], rtol=1e-6)


@given(problems())
def test_the_block_is_not_changed(problem):
    block = problem.block
    before = block.X.copy(), block.y.copy(), None if block.weight is None else block.weight.copy()
    everything(problem)(block, problem.parameters)
    np.testing.assert_array_equal(block.X, before[0])
    np.testing.assert_array_equal(block.y, before[1])
    np.testing.assert_array_equal(block.weight, before[2])


@given(problems())
def test_moments_and_radius_are_those_of_the_definition(problem):
    block = problem.block
    sums = everything(problem)(block, problem.parameters)
    X = block.X.astype(np.float64)
    weight = np.ones(len(X)) if block.weight is None else block.weight
    columns = np.hstack([X, block.y.reshape(len(X), -1)])
    expected = np.stack([weight @ columns, weight @ columns**2])
    np.testing.assert_allclose(about_zero(sums), expected, rtol=1e-11, atol=1e-11)
    p = X.shape[1]
    distance = (X - np.linspace(-1, 1, p)) ** 2 @ np.linspace(0.5, 2, p)
    assert sums.radius == pytest.approx(np.sqrt(1 + distance.max()))


@given(problems(min_rows=2))
def test_an_empty_block_adds_nothing(problem):
    kernel = everything(problem)
    empty = kernel(rows_of(problem.block, slice(0, 0)), problem.parameters)
    whole = kernel(problem.block, problem.parameters)
    assert empty.n_rows == 0
    assert kernel.is_finite(empty)
    expected = kernel(problem.block, problem.parameters)
    assert_same_bits(kernel.combine(whole, empty), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    ("loss", "n_outputs"), [(HalfSquaredError(), 1), (HalfBinomialLoss(), 1),
                            (HalfMultinomialLoss(), 3)]
)  # fmt: skip
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_value_that_is_not_finite_always_shows(loss, n_outputs, scale, fit_intercept, value, rng):
    packing = Packing(n_outputs, 3, fit_intercept)
    kernel = LinearKernel(loss, packing, Order.GRADIENT)
    X = rng.normal(size=(20, 3)).astype(np.float32)
    block = Block(X, np.zeros(20))
    parameters = scale * rng.normal(size=packing.size)
    with np.errstate(invalid="ignore", over="ignore"):
        assert kernel.is_finite(kernel(block, parameters))
        X[7, 1] = value
        assert not kernel.is_finite(kernel(block, parameters))


@pytest.mark.parametrize("offset", [4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "n_outputs"),
    [(HalfSquaredError(), 2), (HalfBinomialLoss(), 1), (HalfMultinomialLoss(), 3)],
)
def test_bits_do_not_depend_on_where_the_block_lies_in_memory(loss, n_outputs, dtype, offset, rng):
    n, p = 5001, 37
    y = rng.normal(size=(n, 2)) if loss.quadratic else rng.integers(0, 2, n).astype(float)
    block = Block(rng.normal(size=(n, p)).astype(dtype), y, rng.uniform(0, 2, n))
    packing = Packing(n_outputs, p, True)
    parameters = rng.normal(size=packing.size)
    moved = Block(*(misaligned(each, offset) for each in (block.X, block.y, block.weight)))
    for hessian_dtype in ("float32", "float64"):
        kernel = LinearKernel(
            loss,
            packing,
            Order.HESSIAN,
            hessian_dtype=hessian_dtype,
            ellipsoid=(np.zeros(p), np.ones(p)),
            moments=True,
            count_errors=True,
        )
        assert_same_bits(kernel(moved, parameters), kernel(block, parameters))


def test_a_kernel_makes_no_temporary_as_large_as_the_block(rng):
    import tracemalloc

    n, p = 200_000, 20
    block = Block(rng.normal(size=(n, p)).astype(np.float32), np.arange(n) % 2.0, np.ones(n))
    packing = Packing(1, p, True)
    kernel = LinearKernel(HalfBinomialLoss(), packing, Order.HESSIAN, hessian_dtype="float32")
    kernel(rows_of(block, slice(0, 10)), np.zeros(packing.size))
    tracemalloc.start()
    try:
        kernel(block, np.zeros(packing.size))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < block.nbytes / 2
