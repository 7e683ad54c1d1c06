"""Rows kept by priority: the tree decides which, no range too many, and right on average."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbd_estimators.engine.reduction_tree import reduce_range
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.importance import Importance, RowSampler, combine_rows
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.packing import Packing
from tests.strategies import random_generators


def kept_of(rule, number, X, y, weight):
    sampler = RowSampler(rule.of_block(number), Block(X, y, weight))
    for rows in (slice(0, 7), slice(7, None)):  # whatever the tiles
        score = rule.scores(X[rows], np.zeros(2), weight[rows], weight[rows])
        sampler.add(X[rows], y[rows], weight[rows], score)
    return sampler.rows()


def kept_of_all(rule, blocks):
    """Rows that the tree over blocks keeps, and how many it was shown."""
    return reduce_range(
        lambda number: (kept_of(rule, number, *blocks[number]), len(blocks[number][0])),
        lambda left, right: (
            combine_rows(rule, left[0], right[0], left[1] + right[1]),
            left[1] + right[1],
        ),
        0,
        len(blocks),
    )


def expected_of_all(rule, blocks):
    """The same, of each row its place and limit, by sorting."""

    def least(rows, n):
        most = rule.max_rows(n)
        if len(rows) > most:
            limit = sorted(rows)[most][0]
            rows = [(u, place, min(t, limit)) for u, place, t in rows if u < limit]
        assert len(rows) <= most
        return rows, n

    def leaf(number):
        X, y, weight = blocks[number]
        score = rule.scores(X, np.zeros(2), weight, weight)
        with np.errstate(divide="ignore"):
            priority = (1.0 - rule.of_block(number).stream().random(len(X))) / score
        rows = zip(priority, y, strict=True)
        return least([(u, place, rule.limit) for u, place in rows if u < rule.limit], len(X))

    rows, _ = reduce_range(
        leaf, lambda left, right: least(left[0] + right[0], left[1] + right[1]), 0, len(blocks)
    )
    return rows


@st.composite
def blocks_of_rows(draw):
    rng = draw(random_generators())
    blocks = []
    for number in range(draw(st.integers(1, 9))):
        n = int(rng.integers(0, 30))
        weight = rng.exponential(size=n) * 10.0 ** rng.integers(-2, 3)  # rows that matter gather
        weight[rng.random(n) < 0.2] = 0.0
        blocks.append((rng.normal(size=(n, 2)), np.arange(n) + 1e3 * number, weight))
    return blocks


@given(
    random_generators(), blocks_of_rows(), st.integers(1, 40), st.sampled_from([0.5, 50.0, np.inf])
)
def test_each_range_of_blocks_keeps_its_rows_of_least_priority(rng, blocks, wanted, limit):
    n = max(sum(len(X) for X, _, _ in blocks), 1)
    directions = rng.normal(size=(3, 2))
    rule = Importance(directions, limit, wanted, n, seed=int(rng.integers(100)))
    rows, _ = kept_of_all(rule, blocks)
    expected = expected_of_all(rule, blocks)
    np.testing.assert_array_equal(rows.y, [place for _, place, _ in expected])
    np.testing.assert_array_equal(rows.limit, [t for _, _, t in expected])
    assert len(rows.y) <= wanted
    assert np.all(rows.score > 0)
    assert rows.X.dtype == np.float32


def test_ranges_of_blocks_keep_twice_their_share_together_at_most():
    """Whatever the scores, and in however many bundles a pass is cut."""
    rule = Importance(np.eye(3), np.inf, 100, 10_000)
    for n_ranges in (1, 2, 8, 64):
        assert rule.max_rows(10_000 // n_ranges) * n_ranges <= 200 + n_ranges
    assert rule.max_rows(10_000) == 100


@settings(max_examples=5)  # each of which is a mean over 200 draws
@given(random_generators())
def test_sums_over_kept_rows_are_those_over_all_on_average(rng):
    blocks = []
    for number in range(5):
        n = 60
        # Most of what matters is in one block, which may not keep that much.
        weight = rng.exponential(size=n) * (20.0 if number == 2 else 1.0)
        blocks.append((rng.normal(size=(n, 2)), rng.normal(size=n), weight))
    directions = np.eye(3)  # no row is short: its weight would be huge, and hardly ever drawn
    estimates = []
    for seed in range(200):
        rows, _ = kept_of_all(Importance(directions, np.inf, 40, 300, seed=seed), blocks)
        assert len(rows.y) <= 40
        estimates.append(np.sum(rows.weight * rows.y / rows.probability))
    standard_error = np.std(estimates) / np.sqrt(len(estimates))
    whole = sum(weight @ y for _, y, weight in blocks)
    assert abs(np.mean(estimates) - whole) <= 6 * standard_error


@given(
    random_generators(),
    st.booleans(),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([Order.GRADIENT, Order.HESSIAN]),
)
def test_a_kernel_keeps_the_rows_of_its_block_and_sums_as_it_does_without(
    rng, weighted, dtype, order
):
    n, p = int(rng.integers(1, 60)), 3
    X, y = rng.normal(3.0, size=(n, p)).astype(np.float32), rng.integers(0, 2, n).astype(float)
    weight = rng.exponential(size=n) if weighted else None
    point, centre = rng.normal(size=p + 1), rng.normal(size=p)
    kernel = LinearKernel(
        HalfBinomialLoss(), Packing(1, p, True), order, centre=centre, hessian_dtype=dtype
    )
    rule = Importance(rng.normal(size=(p + 1, 2)), np.inf, n, n, curvature=0.01)
    block = Block(X, y, weight)
    keeping = replace(kernel, importance=rule).of_block(5)
    sums, plain = keeping(block, point), kernel(block, point)
    np.testing.assert_array_equal(sums.gradient, plain.gradient)
    assert (sums.hessian is None) == (plain.hessian is None) == (order is Order.GRADIENT)
    if order is Order.HESSIAN:
        np.testing.assert_array_equal(sums.hessian, plain.hessian)
    assert plain.rows is None
    np.testing.assert_array_equal(sums.rows.X, (X - centre).astype(np.float32))
    assert sums.rows.X.dtype == np.float32
    s = np.ones(n) if weight is None else weight
    q = 1 / (1 + np.exp(-((X - centre) @ point[:p] + point[p])))
    rows = np.column_stack([X - centre, np.ones(n)])
    factor = s * np.sqrt(q * (1 - q) + rule.curvature)
    score = factor * np.linalg.norm(rows @ rule.directions, axis=1)
    # Products may cancel: their rounding is relative to the sum of the absolute values.
    rounding = factor * np.linalg.norm(np.abs(rows) @ np.abs(rule.directions), axis=1)
    assert np.all(np.abs(sums.rows.score - score) <= 32 * np.finfo(dtype).eps * rounding)
