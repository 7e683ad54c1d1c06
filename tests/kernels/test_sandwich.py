"""Sums for the covariance of coefficients are those of the formula, however rows are cut."""

from __future__ import annotations

from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfSquaredError,
)
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sandwich import Estimate, SandwichKernel
from tests.strategies import cuts, features, pieces, random_generators, weights

#: Losses, and their numbers of classes; the first of three classes is the reference.
LOSSES = [(HalfSquaredError(), 0), (HalfBinomialLoss(), 2), (HalfMultinomialLoss(), 3)]


@st.composite
def cases(draw):
    """A block with a column of groups, a model on it and a kernel that asks for everything."""
    n_rows, n_features = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = draw(random_generators())
    loss, n_classes = draw(st.sampled_from(LOSSES))
    y = rng.integers(0, n_classes, n_rows) if n_classes else rng.normal(size=n_rows)
    groups = rng.integers(0, draw(st.integers(1, 9)), n_rows)
    targets = np.column_stack([y, groups]).astype(np.float64)
    block = Block(draw(features(n_rows, n_features)), targets, draw(weights(n_rows)))
    packing = Packing(max(n_classes - 1, 1), n_features, draw(st.booleans()))
    kernel = SandwichKernel(
        loss, packing, meat=True, grouped=True, frequency=draw(st.booleans()),
        discount=0 if loss.coupled else draw(st.sampled_from([0, 1, 2])),
    )  # fmt: skip
    return block, kernel, rng.normal(size=packing.size)


def rows_of_formula(block, kernel, parameters, centre):
    """Features with their constant, first and second derivatives, and weights."""
    Z = block.X.astype(np.float64) - centre
    n = Z.shape[1]
    models = parameters.reshape(kernel.packing.shape)
    raw = block.X.astype(np.float64) @ models[:, :n].T
    if kernel.packing.fit_intercept:
        Z, raw = np.column_stack([Z, np.ones(len(Z))]), raw + models[:, n]
    y = block.y[:, 0]
    weight = np.ones(len(y)) if block.weight is None else block.weight
    if isinstance(kernel.loss, HalfSquaredError):
        return Z, raw - y[:, None], np.ones((len(y), 1, 1)), weight
    odds = np.exp(raw)
    probability = odds / (1 + odds.sum(axis=1, keepdims=True))
    own = y[:, None] == np.arange(1, raw.shape[1] + 1)
    curvature = -probability[:, :, None] * probability[:, None, :]
    curvature += probability[:, :, None] * np.eye(raw.shape[1])
    return Z, probability - own, curvature, weight


@given(cases(), st.data())
def test_sums_are_the_formula_for_any_cut(case, data):
    block, kernel, parameters = case
    packing = kernel.packing
    rng = np.random.default_rng(0)
    root = 0.05 * rng.normal(size=(packing.size, packing.size))
    fixed = np.zeros(packing.n_features)
    # Leverages go with one centre; without them each block may take its own.
    estimate = Estimate(parameters, fixed, root) if kernel.discount else Estimate(parameters)
    sizes = data.draw(cuts(block.n_rows))
    sums = reduce(kernel.combine, [kernel(each, estimate) for each in pieces(block, sizes)])
    Z, slope, curvature, weight = rows_of_formula(block, kernel, parameters, sums.centre)
    factor = weight * (1.0 if kernel.frequency else weight)
    if kernel.discount:
        leverage = curvature[:, 0, 0] * np.sum((Z @ root) ** 2, axis=1)
        leverage = leverage * (1.0 if kernel.frequency else weight)
        rest = np.where(leverage > 1 - 1e-10, 1.0, 1 - leverage)
        factor = factor / rest**kernel.discount
        assert sums.n_saturated == np.sum((weight > 0) & (leverage > 1 - 1e-10))
    scores = (slope[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)  # g (x) z of each row
    meat = (scores * factor[:, None]).T @ scores
    bread = np.einsum("ikj,ia,ib->kajb", curvature * weight[:, None, None], Z, Z)
    close = {"rtol": 1e-9, "atol": 1e-9 * (1 + np.abs(factor * slope.T**2).max())}
    np.testing.assert_allclose(sums.bread, bread.reshape(meat.shape), **close)
    np.testing.assert_allclose(sums.meat, meat, **close)
    np.testing.assert_allclose(sums.gradient, weight @ scores, **close)
    np.testing.assert_allclose(sums.squares, weight @ (slope**2).sum(axis=1), **close)
    np.testing.assert_allclose(sums.weight, weight.sum(), **close)
    present = weight > 0
    assert (sums.n_rows, sums.n_present) == (len(weight), present.sum())
    np.testing.assert_array_equal(sums.groups, np.unique(block.y[present, 1]))
    for number, of_group in zip(sums.groups, sums.scores, strict=True):
        member = block.y[:, 1] == number
        np.testing.assert_allclose(of_group, (weight * member) @ scores, **close)


@given(random_generators(), st.data())
def test_columns_far_from_zero_keep_their_spread(rng, data):
    n = 60
    near = rng.integers(-1000, 1000, size=(n, 2)) / 1024.0  # as exact far from zero as near it
    y = rng.normal(size=n)
    kernel = SandwichKernel(HalfSquaredError(), Packing(1, 2, True), meat=True)
    sizes = data.draw(cuts(n))

    def found(X, parameters):
        blocks = pieces(Block(X, y[:, None]), sizes)
        sums = reduce(kernel.combine, [kernel(each, Estimate(parameters)) for each in blocks])
        move = np.linalg.inv(np.block([[np.eye(2), np.zeros((2, 1))], [sums.centre, 1.0]]))
        return sums, move

    far, _ = found(near + 2.0**27, np.array([1.0, 1.0, -(2.0**28)]))
    close, _ = found(near, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(far.centre - 2.0**27, close.centre, atol=1e-7)
    np.testing.assert_allclose(far.bread, close.bread, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(far.meat, close.meat, rtol=1e-5, atol=1e-5)


def test_a_value_that_is_not_finite_is_seen():
    kernel = SandwichKernel(HalfSquaredError(), Packing(1, 1, True))
    block = Block(np.array([[1.0], [np.nan]]), np.zeros((2, 1)))
    assert not kernel.is_finite(kernel(block, Estimate(np.zeros(2))))
