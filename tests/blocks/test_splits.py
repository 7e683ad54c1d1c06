"""Splits as parts of blocks: each row is trained and tested on as asked, whatever the cut."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.blocks.splits import DividedBlocks, divide
from dlbd_estimators.exceptions import LengthMismatch
from tests.strategies import cuts


def rows_of_parts(parts, splits_parts, sizes):
    """The positions among all rows of some parts, in order of blocks."""
    found, first = [], 0
    for index, size in enumerate(sizes):
        each = parts.of(index, size)
        found += [np.arange(first, first + size)[each[part]] for part in splits_parts]
        first += size
    return np.sort(np.concatenate(found))


@given(
    st.sampled_from([KFold(3), KFold(2, shuffle=True, random_state=0),
                     ShuffleSplit(3, test_size=0.4, random_state=0),
                     RepeatedKFold(n_splits=2, n_repeats=2, random_state=0)]),
    st.integers(6, 40),
    st.data(),
)  # fmt: skip
def test_rows_are_those_of_the_splitter(splitter, n, data):
    sizes = data.draw(cuts(n))
    pairs = list(splitter.split(np.zeros((n, 1))))
    splits, parts = divide(pairs, sizes)
    assert len(splits.train) == len(splits.test) == len(pairs)
    for number, (train, test) in enumerate(pairs):
        np.testing.assert_array_equal(
            rows_of_parts(parts, splits.train[number], sizes), np.sort(train)
        )
        np.testing.assert_array_equal(
            rows_of_parts(parts, splits.test[number], sizes), np.sort(test)
        )
    np.testing.assert_array_equal(rows_of_parts(parts, splits.all_rows, sizes), np.arange(n))


def test_rows_of_no_fold_are_a_part_that_is_always_trained_on():
    train, test = np.array([0, 1, 3]), np.array([2])
    splits, parts = divide([(train, test)], (2, 2))
    assert splits.train == ((1,),)
    np.testing.assert_array_equal(rows_of_parts(parts, (1,), (2, 2)), train)


def test_a_row_that_is_trained_on_twice_stands_twice():
    splits, parts = divide([(np.array([0, 0, 2]), np.array([1]))], (3,))
    np.testing.assert_array_equal(rows_of_parts(parts, splits.train[0], (3,)), [0, 0, 2])


def test_what_travels_with_a_task_is_of_its_blocks():
    n = 100_000
    _, parts = divide(
        list(KFold(5, shuffle=True, random_state=0).split(np.zeros(n))), (1000,) * 100
    )
    assert len(pickle.dumps(parts.select([3]))) < 10_000
    with pytest.raises(KeyError):
        parts.select([3]).of(4, 1000)


def test_divided_blocks_tell_their_parts_and_read_as_before(rng):
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    blocks = from_arrays(X, y, None)
    assert blocks.sizes is not None
    _, parts = divide(list(KFold(2).split(X)), blocks.sizes)
    some = DividedBlocks.of(blocks, parts).select([0])
    block = some.load(0)
    np.testing.assert_array_equal(block.X, X)
    assert block.parts == (slice(0, 25), slice(25, 50))


def test_a_block_that_has_changed_is_refused():
    _, parts = divide(list(KFold(2).split(np.zeros(6))), (6,))
    with pytest.raises(LengthMismatch, match="Did the data change"):
        parts.of(0, 7)
