"""Rows held out: of every block, each row on one side, by seed and block alone."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.blocks.held_out import SplitLoader, hold_out
from dlbd_estimators.exceptions import NonFiniteValues
from tests.strategies import cuts, random_generators

FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**31 - 2)


def lazy(rng, sizes, weighted=True):
    n = sum(sizes)
    arrays = rng.normal(size=(n, 2)), np.arange(float(n)), rng.uniform(size=n)
    X, y, weight = (da.from_array(each, chunks=(sizes, *each.shape[1:])) for each in arrays)
    with dask.config.set(scheduler="synchronous"):
        return arrays, from_dask(X, y, weight if weighted else None)


@given(cuts(40), FRACTIONS, SEEDS, random_generators(), st.booleans())
def test_each_row_is_on_one_side_with_its_target_and_weight(sizes, fraction, seed, rng, weighted):
    (X, y, weight), blocks = lazy(rng, sizes, weighted)
    train, test = hold_out(blocks, fraction, seed)
    for index in range(blocks.n_blocks):
        whole = blocks.load(index).y.astype(int)
        sides = [part.load(index) for part in (train, test)]
        rows = [side.y.astype(int) for side in sides]
        np.testing.assert_array_equal(np.sort(np.concatenate(rows)), whole)
        for part, side, mine in zip((train, test), sides, rows, strict=True):
            assert part.sizes[index] == side.n_rows
            np.testing.assert_array_equal(mine, np.sort(mine))  # in their old order
            np.testing.assert_array_equal(side.X, X[mine])
            if weighted:
                np.testing.assert_array_equal(side.weight, weight[mine])
            else:
                assert side.weight is None
        assert abs(len(rows[1]) - fraction * len(whole)) < 1
    assert sum(train.sizes) + sum(test.sizes) == len(y)


@given(cuts(40), FRACTIONS, SEEDS, random_generators())
def test_without_features_the_same_rows_are_read(sizes, fraction, seed, rng):
    for part in hold_out(lazy(rng, sizes)[1], fraction, seed):
        for index in range(part.n_blocks):
            bare, full = part.load(index, features=False), part.load(index)
            assert bare.X.shape == (full.n_rows, 0)
            np.testing.assert_array_equal(bare.y, full.y)
            np.testing.assert_array_equal(bare.weight, full.weight)


@given(cuts(40), FRACTIONS, SEEDS, random_generators())
def test_a_selection_or_a_copy_reads_the_same_rows(sizes, fraction, seed, rng):
    for part in hold_out(lazy(rng, sizes)[1], fraction, seed):
        for index in range(part.n_blocks):
            other = pickle.loads(pickle.dumps(part.select([index])))
            np.testing.assert_array_equal(other.load(index).y, part.load(index).y)


@given(st.integers(50, 200), st.integers(2, 5), SEEDS)
def test_blocks_and_seeds_choose_rows_of_their_own(size, n_blocks, seed):
    loader = SplitLoader(from_arrays(np.zeros((1, 1)), np.zeros(1), None), 0.5, seed, True)
    chosen = [tuple(loader.choose(index, size)) for index in range(n_blocks)]
    chosen += [tuple(SplitLoader(loader.source, 0.5, seed + 1, True).choose(0, size))]
    assert len(set(chosen)) == n_blocks + 1
    assert chosen[0] == tuple(loader.choose(0, size))


@given(st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]), st.integers(1, 5), SEEDS)
def test_fractions_are_right_on_average_however_small_the_blocks(fraction, size, seed):
    loader = SplitLoader(from_arrays(np.zeros((1, 1)), np.zeros(1), None), fraction, seed, True)
    chosen = [loader.choose(index, size) for index in range(2000)]
    share = sum(map(len, chosen)) / (2000 * size)
    # Six standard deviations of a rounding.
    assert abs(share - fraction) < 6 * 0.5 / (size * np.sqrt(2000))
    # Every place in a block as often as any other.
    counts = np.bincount(np.concatenate(chosen), minlength=size) / 2000
    assert np.abs(counts - fraction).max() < 6 * 0.5 / np.sqrt(2000)


def test_what_reads_held_out_rows_elsewhere_names_a_row_among_all():
    values = np.zeros((40, 2))
    values[27] = np.nan
    X, y = da.from_array(values, chunks=(8, 2)), da.zeros(40, chunks=8)
    for part in hold_out(from_dask(X, y, None), 0.5, 0):
        blocks = pickle.loads(pickle.dumps(part.select([3])))
        assert len(blocks.rows(3)) == part.sizes[3]
        block = blocks.load(3)
        if not np.isfinite(block.X).all():
            with pytest.raises(NonFiniteValues, match=r"row 3 of block 3 \(rows 24 to 32\)"):
                blocks.check_features(3, block)
            break
    else:
        raise AssertionError("the row is on neither side")
