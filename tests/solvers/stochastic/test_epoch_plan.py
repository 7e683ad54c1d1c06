"""The plan of an epoch: every block once, in nearly equal shares, by the seed alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.stochastic.epoch_plan import EpochLayout, plan_epoch

SHAPES = st.builds(EpochLayout, st.integers(1, 6), st.integers(1, 7), st.integers(1, 8))


def blocks(fills):
    return list(chain.from_iterable(fills))


def shares(plan, n_replicas):
    return [blocks(chain.from_iterable(part[i] for part in plan)) for i in range(n_replicas)]


def generator(seed):
    return np.random.default_rng(seed)


@given(st.integers(1, 80), SHAPES, st.integers(0, 99))
def test_every_block_is_seen_once_and_the_limits_hold(n_blocks, shape, seed):
    plan = plan_epoch(n_blocks, shape, generator(seed))
    mine = shares(plan, shape.n_replicas)
    assert sorted(blocks(mine)) == list(range(n_blocks))
    lengths = [len(share) for share in mine]
    assert max(lengths) - min(lengths) <= 1
    for part in plan:
        assert len(part) == shape.n_replicas
        assert any(part)
        for fills in part:
            assert len(fills) <= shape.round_fills
            assert all(0 < len(fill) <= shape.fill_blocks for fill in fills)
            sizes = [len(fill) for fill in fills]
            assert not fills or max(sizes) - min(sizes) <= 1


@given(st.integers(1, 80), SHAPES)
def test_there_are_no_more_rounds_than_needed_and_they_are_nearly_equal(n_blocks, shape):
    plan = plan_epoch(n_blocks, shape, None)
    longest = -(-n_blocks // shape.n_replicas)
    assert len(plan) == -(-longest // (shape.fill_blocks * shape.round_fills))
    for i in range(shape.n_replicas):
        n_fills = [len(part[i]) for part in plan]
        assert max(n_fills) - min(n_fills) <= 1


@given(st.integers(1, 80), SHAPES)
def test_without_a_generator_blocks_stay_in_order(n_blocks, shape):
    plan = plan_epoch(n_blocks, shape, None)
    assert blocks(shares(plan, shape.n_replicas)) == list(range(n_blocks))


@given(st.integers(1, 80), SHAPES, st.integers(1, 8), st.integers(0, 99))
def test_where_rounds_end_changes_no_fill(n_blocks, shape, round_fills, seed):
    """A replica on persisted chunks takes one fill a round, and has to come to the same bits."""
    fills = [
        [list(chain.from_iterable(part[i] for part in plan)) for i in range(shape.n_replicas)]
        for plan in (
            plan_epoch(n_blocks, each, generator(seed))
            for each in (shape, replace(shape, round_fills=round_fills))
        )
    ]
    assert fills[0] == fills[1]


@given(st.integers(20, 80), SHAPES, st.integers(0, 99))
def test_the_seed_says_all_and_another_says_something_else(n_blocks, shape, seed):
    plan = plan_epoch(n_blocks, shape, generator((seed, 0)))
    assert plan == plan_epoch(n_blocks, shape, generator((seed, 0)))
    assert plan != plan_epoch(n_blocks, shape, generator((seed, 1)))
    assert plan != plan_epoch(n_blocks, shape, None)


@given(st.integers(2, 8), st.integers(1, 30), st.integers(1, 10**4), st.integers(1, 500))
def test_replicas_meet_about_every_thousand_updates(n_replicas, room, block_rows, batch_size):
    shape = EpochLayout.of(n_replicas, room, block_rows, batch_size)
    assert 1 <= shape.round_fills <= 8
    assert min(room, 4) <= shape.fill_blocks <= room
    updates = max(1, shape.fill_blocks * block_rows // batch_size)
    if shape.round_fills < 8:
        assert shape.round_fills * updates >= 1000
    if shape.round_fills > 1:  # one fill less would not do
        assert (shape.round_fills - 1) * updates < 1000
    if shape.fill_blocks < room:  # there was memory for more
        assert shape.fill_blocks * block_rows >= 1000 * batch_size
        if shape.fill_blocks > 4:
            assert (shape.fill_blocks - 1) * block_rows < 1000 * batch_size


@given(st.integers(1, 30), st.integers(1, 10**4), st.integers(1, 500))
def test_a_replica_that_is_alone_waits_for_nobody(room, block_rows, batch_size):
    assert EpochLayout.of(1, room, block_rows, batch_size) == EpochLayout(1, room, 8)
