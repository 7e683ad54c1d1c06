"""Products with a Hessian against the Hessian itself, whole and an output at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels import hessian
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfMultinomialLoss, HalfPoissonDeviance
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.products import HessianProductKernel
from tests.strategies import cuts, pieces, problems


def vector_of(problem, seed):
    return np.random.default_rng(seed).normal(size=problem.packing.size)


def centres(problem, shifted):
    return np.linspace(-1.0, 2.0, problem.packing.n_features) if shifted else None


@given(problems(), st.integers(0, 2**32 - 1), st.booleans())
def test_a_product_is_the_hessian_times_the_vector(problem, seed, shifted):
    centre, vector = centres(problem, shifted), vector_of(problem, seed)
    whole = LinearKernel(problem.loss, problem.packing, Order.HESSIAN, centre=centre)
    kernel = HessianProductKernel(problem.loss, problem.packing, centre)
    expected = whole(problem.block, problem.parameters)
    found = kernel(problem.block, np.stack([problem.parameters, vector]))
    scale = np.abs(expected.hessian).max() + 1.0
    np.testing.assert_allclose(
        found.product, expected.hessian @ vector, rtol=1e-9, atol=1e-11 * scale
    )
    assert found.weight == pytest.approx(expected.weight)


@given(problems(), st.integers(0, 2**32 - 1), st.booleans())
def test_a_product_in_float32_has_its_digits(problem, seed, shifted):
    centre, vector = centres(problem, shifted), vector_of(problem, seed)
    both = np.stack([problem.parameters, vector])
    expected = HessianProductKernel(problem.loss, problem.packing, centre)(problem.block, both)
    found = HessianProductKernel(problem.loss, problem.packing, centre, "float32")(
        problem.block, both
    )
    whole = LinearKernel(problem.loss, problem.packing, Order.HESSIAN, centre=centre)
    hessian = whole(problem.block, problem.parameters).hessian
    # The rounding of a sum is relative to its largest terms.
    size = np.sqrt(np.outer(np.diag(hessian), np.diag(hessian))) @ np.abs(vector)
    np.testing.assert_array_less(np.abs(found.product - expected.product), 1e-4 * size + 1e-30)
    assert found.product.dtype == np.float64
    assert found.weight == expected.weight


@given(problems(), st.integers(0, 2**32 - 1), st.data())
def test_products_of_pieces_add_up(problem, seed, data):
    kernel = HessianProductKernel(problem.loss, problem.packing)
    both = np.stack([problem.parameters, vector_of(problem, seed)])
    whole = kernel(problem.block, both)
    parts = [
        kernel(piece, both)
        for piece in pieces(problem.block, data.draw(cuts(problem.block.n_rows)))
    ]
    joined = parts[0]
    for part in parts[1:]:
        joined = kernel.combine(joined, part)
    np.testing.assert_allclose(joined.product, whole.product, rtol=1e-10, atol=1e-10)
    assert joined.weight == pytest.approx(whole.weight)


@pytest.mark.parametrize(("few", "wide"), [(0, 1), (0, 4), (0, 256), (8, 256)])
@given(problem=problems(), shifted=st.booleans())
def test_each_output_alone_is_the_diagonal_of_the_whole(few, wide, problem, shifted):
    centre, packing = centres(problem, shifted), problem.packing
    options = {"order": Order.HESSIAN, "centre": centre}
    whole = LinearKernel(problem.loss, packing, **options)(problem.block, problem.parameters)
    alone = LinearKernel(problem.loss, packing, **options, per_output=1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(hessian, "_FEW_OUTPUTS", few)  # of more, by feature
        monkeypatch.setattr(hessian, "_WIDE", wide)
        found = alone(problem.block, problem.parameters).hessian
    outputs, width = packing.shape
    square = whole.hessian.reshape(outputs, width, outputs, width)
    expected = np.stack([square[k, :, k] for k in range(outputs)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(problems(), st.data())
def test_blocks_that_centre_themselves_give_the_same_for_each_output(problem, data):
    packing = problem.packing
    options = {"order": Order.HESSIAN, "per_output": 1}
    plain = LinearKernel(problem.loss, packing, **options)(problem.block, problem.parameters)
    kernel = LinearKernel(problem.loss, packing, **options, own_centre=packing.fit_intercept)
    parts = [
        kernel(piece, problem.parameters)
        for piece in pieces(problem.block, data.draw(cuts(problem.block.n_rows)))
    ]
    joined = parts[0]
    for part in parts[1:]:
        joined = kernel.combine(joined, part)
    found = joined.hessian
    if joined.centre is not None:
        found = Centring(packing, -joined.centre).per_output(found)
    scale = np.abs(plain.hessian).max() + 1.0
    np.testing.assert_allclose(found, plain.hessian, rtol=1e-7, atol=1e-8 * scale)


@pytest.mark.parametrize("every", [2, 3, 7])
def test_some_rows_stand_for_all(every, rng):
    """Rows that stand `every` times one after the other give the same as one of them."""
    problem_rows = rng.normal(size=(50, 3))
    packing = Packing(4, 3, True)
    X = np.repeat(problem_rows, every, axis=0)
    y = np.repeat(rng.integers(0, 4, 50), every).astype(float)
    weight = np.repeat(rng.random(50), every)
    parameters = rng.normal(size=packing.size)
    options = {"loss": HalfMultinomialLoss(), "packing": packing, "order": Order.HESSIAN}
    block = Block(X, y, weight)
    expected = LinearKernel(**options, per_output=1)(block, parameters).hessian
    found = LinearKernel(**options, per_output=every)(block, parameters).hessian
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_products_of_counts(rng):
    packing = Packing(2, 3, True)
    block = Block(rng.normal(size=(40, 3)), rng.poisson(2.0, (40, 2)).astype(float))
    both = 0.3 * rng.normal(size=(2, packing.size))
    hessian = LinearKernel(HalfPoissonDeviance(), packing, Order.HESSIAN)(block, both[0]).hessian
    found = HessianProductKernel(HalfPoissonDeviance(), packing)(block, both).product
    np.testing.assert_allclose(found, hessian @ both[1], rtol=1e-10)
