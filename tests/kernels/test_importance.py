"""Rows kept by priority: the same in any order, as many as wanted, and right on average."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.importance import Importance, RowSieve, joined
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.packing import Packing
from tests.strategies import random_generators


def kept_of(rule, number, X, y, weight):
    sieve = RowSieve(rule.of_block(number))
    for rows in (slice(0, 7), slice(7, None)):  # whatever the tiles
        sieve.add(X[rows], X[rows], y[rows], weight[rows], weight[rows])
    return sieve.rows(X, y)


@given(random_generators(), st.integers(1, 9), st.integers(1, 40), st.sampled_from([0.5, np.inf]))
def test_the_rows_of_least_priority_are_kept_whatever_is_joined_first(rng, n_blocks, wanted, limit):
    rule = Importance(rng.normal(size=(3, 2)), limit, wanted, seed=int(rng.integers(100)))
    kept, all_of = [], []
    for number in range(n_blocks):
        n = int(rng.integers(0, 30))
        X, y, weight = rng.normal(size=(n, 2)), np.arange(n) + 1e3 * number, rng.exponential(size=n)
        weight[rng.random(n) < 0.2] = 0.0
        kept.append(kept_of(rule, number, X, y, weight))
        score = rule.scores(X, weight, weight)
        with np.errstate(divide="ignore"):
            priority = (1.0 - rule.of_block(number).stream().random(n)) / score
        all_of += zip(priority, y, strict=True)
    below = sorted(pair for pair in all_of if pair[0] < limit)
    expected = sorted(y for _, y in below[:wanted])
    threshold = below[wanted][0] if len(below) > wanted else limit
    while len(kept) > 1:
        place = int(rng.integers(len(kept) - 1))
        kept[place : place + 2] = [joined(rule, *kept[place : place + 2])]
    rows = kept[0].least(wanted)
    np.testing.assert_array_equal(rows.y, expected)
    assert rows.limit == threshold
    assert np.all(rows.score > 0)


@given(random_generators())
def test_sums_over_kept_rows_are_those_over_all_on_average(rng):
    n = 300
    X, y, weight = rng.normal(size=(n, 2)), rng.normal(size=n), rng.exponential(size=n)
    directions = np.eye(3)  # no row is short: its weight would be huge, and hardly ever drawn
    estimates = []
    for seed in range(200):
        rows = kept_of(Importance(directions, np.inf, 40, seed=seed), 0, X, y, weight)
        assert len(rows.y) == 40
        estimates.append(np.sum(rows.weight * rows.y / rows.chance))
    standard_error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - weight @ y) <= 6 * standard_error


@given(random_generators(), st.booleans())
def test_a_kernel_keeps_the_rows_of_its_block_and_sums_as_it_does_without(rng, weighted):
    n, p = int(rng.integers(1, 60)), 3
    X, y = rng.normal(size=(n, p)).astype(np.float32), rng.integers(0, 2, n).astype(float)
    weight = rng.exponential(size=n) if weighted else None
    point, centre = rng.normal(size=p + 1), rng.normal(size=p)
    kernel = LinearKernel(HalfBinomialLoss(), Packing(1, p, True), Order.HESSIAN, centre=centre)
    rule = Importance(rng.normal(size=(p + 1, 2)), np.inf, n, curvature=0.01)
    block = Block(X, y, weight)
    keeping = LinearKernel(
        kernel.loss, kernel.packing, kernel.order, centre=centre, importance=rule
    ).of_block(5)
    sums, plain = keeping(block, point), kernel(block, point)
    np.testing.assert_array_equal(sums.hessian, plain.hessian)
    np.testing.assert_array_equal(sums.gradient, plain.gradient)
    assert plain.rows is None
    np.testing.assert_array_equal(sums.rows.X, X)
    assert sums.rows.X.dtype == np.float32
    s = np.ones(n) if weight is None else weight
    q = 1 / (1 + np.exp(-((X - centre) @ point[:p] + point[p])))
    length = np.linalg.norm(np.column_stack([X - centre, np.ones(n)]) @ rule.directions, axis=1)
    curvature = q * (1 - q) + rule.curvature
    np.testing.assert_allclose(sums.rows.score, s * np.sqrt(curvature) * length, rtol=1e-9)
