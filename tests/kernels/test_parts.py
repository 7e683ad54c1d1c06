"""Moments by part: parts add up to the whole, and leaving one out is leaving its rows out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.moments import MomentsKernel, PartMomentsKernel
from dlbd_estimators.kernels.parts import DividedBlock, Splits, rows_of
from dlbd_estimators.solvers.moment_scores import about_zero, join
from tests import strategies
from tests.strategies import features, random_generators, weights


@st.composite
def divided(draw):
    """A block and its parts: of one row and of none among them, in order or not."""
    n, p, n_parts = draw(st.integers(2, 60)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    rng = draw(random_generators())
    X = draw(features(n, p, (np.float64,))) + draw(st.sampled_from([0.0, 1e6]))
    y = rng.normal(size=(n, draw(st.integers(1, 2)))) + 2.0
    names = rng.integers(0, n_parts, n)
    if draw(st.booleans()):
        names = np.sort(names)
    positions = [np.flatnonzero(names == part) for part in range(n_parts)]
    parts = tuple(rows_of(each) for each in positions)
    return DividedBlock(X, y, draw(weights(n)), parts), positions


def moments_of(block, part):
    return PartMomentsKernel(centre=True, part=part)(block, None)


def assert_same(left, right):
    assert left.weight == pytest.approx(right.weight, rel=1e-13)
    assert left.n_rows == right.n_rows
    if left.weight == 0:
        return
    np.testing.assert_allclose(left.mean, right.mean, rtol=1e-12, atol=1e-12)
    size = max(np.abs(right.products).max(), 1.0)
    np.testing.assert_allclose(left.products, right.products, rtol=0, atol=1e-9 * size)


@given(divided())
def test_parts_add_up_to_the_whole(case):
    block, positions = case
    together = join(
        [moments_of(block, part) for part in range(len(positions))], range(len(positions))
    )
    assert_same(together, MomentsKernel(centre=True)(Block(block.X, block.y, block.weight)))


@given(divided(), st.data())
def test_leaving_a_part_out_is_leaving_its_rows_out(case, data):
    block, positions = case
    left_out = data.draw(st.integers(0, len(positions) - 1))
    partials = [moments_of(block, part) for part in range(len(positions))]
    before = [each.products.copy() for each in partials]
    others = Splits.folds(len(positions)).train[left_out]
    rows = np.sort(np.concatenate([positions[part] for part in others]))
    expected = MomentsKernel(centre=True)(strategies.rows_of(block, rows))
    assert_same(join(partials, others), expected)
    for partial, products in zip(partials, before, strict=True):  # joining changes none of them
        np.testing.assert_array_equal(partial.products, products)


@given(divided())
def test_a_part_is_its_rows_alone_to_the_last_bit(case):
    block, positions = case
    for part, rows in enumerate(positions):
        found = moments_of(block, part)
        alone = MomentsKernel(centre=True)(strategies.rows_of(block, rows))
        np.testing.assert_array_equal(found.products, alone.products)
        np.testing.assert_array_equal(found.mean, alone.mean)


@given(divided())
def test_centred_moments_tell_those_about_zero(case):
    block, _ = case
    block = Block(block.X - block.X.mean(axis=0), block.y, block.weight)
    found = about_zero(MomentsKernel(centre=True)(block))
    expected = MomentsKernel(centre=False)(block)
    size = max(np.abs(expected.products).max(), 1.0)
    np.testing.assert_allclose(found.products, expected.products, rtol=0, atol=1e-12 * size)
    assert not found.mean.any()


@given(st.lists(st.integers(0, 30), max_size=20))
def test_rows_are_a_slice_only_where_they_follow_one_another(rows):
    positions = np.sort(np.array(rows, dtype=np.intp))
    np.testing.assert_array_equal(np.arange(31)[rows_of(positions)], positions)


def test_splits_of_folds_train_on_all_others():
    splits = Splits.folds(3, rest=True)
    assert splits.train == ((1, 2, 3), (0, 2, 3), (0, 1, 3))
    assert splits.test == ((0,), (1,), (2,))
    assert splits.all_rows == (0, 1, 2, 3)
    assert splits.n_parts == 4
