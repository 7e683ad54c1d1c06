"""A split is disjoint, complete and exact, whatever the blocks; its arrays stay aligned."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn import model_selection

from dlbd_estimators.blocks import row_selection
from dlbd_estimators.blocks.allocation import allocate
from dlbd_estimators.blocks.row_selection import Rows
from dlbd_estimators.model_selection import KFold, ShuffleSplit, train_test_split
from dlbd_estimators.model_selection.sizes import split_sizes
from tests.strategies import cuts, random_generators

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def test_what_is_chosen_of_a_block_is_worked_out_once(monkeypatch):
    # Not once a chunk and array: the work then grows with the square of the blocks.
    X = numbered((2,) * 40)
    y = da.from_array(np.tile([0, 1], 40), chunks=2)
    made = []
    monkeypatch.setattr(row_selection, "Rows", lambda *args: made.append(args) or Rows(*args))
    parts = train_test_split(X, y, stratify=y, random_state=0)
    assert len(made) == 2 * 40
    assert [len(each) for each in dask.compute(*parts)] == [60, 20, 60, 20]


def numbered(sizes):
    """Rows that carry their own number, in two columns."""
    numbers = np.arange(sum(sizes))
    return da.from_array(np.stack([numbers, -numbers], axis=1), chunks=(sizes, 2))


@st.composite
def cut_twice(draw, min_rows=2):
    """One number of rows, cut into blocks in two ways."""
    n_rows = draw(st.integers(min_rows, 60))
    return draw(cuts(n_rows)), draw(cuts(n_rows))


def shares():
    return st.one_of(
        st.none(), st.integers(-1, 70), st.floats(-0.1, 1.1).map(lambda x: round(x, 3))
    )


@given(n_rows=st.integers(1, 60), test_size=shares(), train_size=shares())
@example(n_rows=2, test_size=0.5, train_size=0.75)  # of all rows, but 1.25 of them
def test_sizes_are_those_of_scikit_learn(n_rows, test_size, train_size):
    try:
        parts = model_selection.train_test_split(
            np.arange(n_rows), test_size=test_size, train_size=train_size
        )
    except ValueError:
        with pytest.raises(ValueError, match="size"):
            split_sizes(n_rows, test_size, train_size, 0.25)
    else:
        assert split_sizes(n_rows, test_size, train_size, 0.25) == tuple(map(len, parts))


@given(data=st.data(), sizes=cuts(60), rng=random_generators())
def test_shares_are_exact_and_in_proportion(data, sizes, rng):
    parts = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=3))
    counts = allocate(sizes, parts, rng)
    assert (counts >= 0).all()
    assert counts.sum(axis=0).tolist() == parts
    assert (counts.sum(axis=1) <= sizes).all()
    proportional = np.outer(sizes, parts) / 60
    assert (np.abs(counts - proportional) < max(len(parts), 1)).all()


@given(
    sizes=cut_twice(),
    test_size=st.sampled_from([1, 0.1, 0.5, 0.8]),
    train_size=st.sampled_from([None, 0.1]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_split_is_disjoint_exact_and_aligned(sizes, test_size, train_size, shuffle, seed):
    n_rows = sum(sizes[0])
    try:
        n_train, n_test = split_sizes(n_rows, test_size, train_size, 0.25)
    except ValueError:
        assume(False)
    X, y = numbered(sizes[0]), numbered(sizes[1])[:, 0]
    options = {"test_size": test_size, "train_size": train_size, "shuffle": shuffle}
    split = train_test_split(X, y, random_state=seed, **options)
    assert split[0].chunks[0] == split[2].chunks[0]
    assert split[1].chunks[0] == split[3].chunks[0]
    X_train, X_test, y_train, y_test = dask.compute(*split)
    np.testing.assert_array_equal(X_train[:, 0], y_train)
    np.testing.assert_array_equal(X_test[:, 0], y_test)
    np.testing.assert_array_equal(X_test[:, 1], -y_test)
    assert [len(y_train), len(y_test)] == [n_train, n_test]
    assert split[0].shape[0] == n_train
    assert len({*y_train, *y_test}) == n_train + n_test
    if not shuffle:
        rows = model_selection.train_test_split(np.arange(n_rows), **options)
        np.testing.assert_array_equal(y_train, rows[0])
        np.testing.assert_array_equal(y_test, rows[1])
    again = train_test_split(X, y, random_state=seed, **options)
    assert [each.name for each in again] == [each.name for each in split]


@given(sizes=cut_twice(), n_splits=st.integers(2, 5), seed=st.one_of(st.none(), st.integers(0, 99)))
def test_folds_are_balanced_disjoint_and_complete(sizes, n_splits, seed):
    n_rows = sum(sizes[0])
    assume(n_splits <= n_rows)
    X, y = numbered(sizes[0]), numbered(sizes[1])[:, 0]
    folds = KFold(n_splits, shuffle=seed is not None, random_state=seed)
    theirs = model_selection.KFold(n_splits).split(np.empty(n_rows))
    tested = []
    for (train, test), arrays, reference in zip(
        folds.split(X, y), folds.split_arrays(X, y), theirs, strict=True
    ):
        assert train.dtype == test.dtype == np.intp
        assert sorted([*train, *test]) == list(range(n_rows))
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        assert len(test) == len(reference[1])
        if seed is None:
            np.testing.assert_array_equal(train, reference[0])
            np.testing.assert_array_equal(test, reference[1])
        X_train, X_test, y_train, y_test = dask.compute(*arrays)
        np.testing.assert_array_equal(y_train, train)
        np.testing.assert_array_equal(y_test, test)
        np.testing.assert_array_equal(X_train[:, 0], train)
        np.testing.assert_array_equal(X_test[:, 0], test)
        tested.extend(test)
    assert sorted(tested) == list(range(n_rows))


@given(sizes=cuts(40), seed=st.integers(0, 99))
def test_shuffle_split_draws_anew_each_time(sizes, seed):
    X = numbered(sizes)
    splits = ShuffleSplit(3, test_size=10, train_size=0.5, random_state=seed)
    pairs = list(splits.split(X))
    for train, test in pairs:
        assert (len(train), len(test)) == (20, 10)
        assert not set(train) & set(test)
    assert len({tuple(test) for _, test in pairs}) == 3
    for (train, test), (X_train, X_test) in zip(pairs, splits.split_arrays(X), strict=True):
        np.testing.assert_array_equal(X_train[:, 0].compute(), train)
        np.testing.assert_array_equal(X_test[:, 0].compute(), test)


@given(sizes=cuts(60), test_size=st.sampled_from([0.2, 0.5]), rng=random_generators())
def test_stratified_split_keeps_the_shares_of_labels(sizes, test_size, rng):
    labels = rng.permutation(np.repeat(["a", "b", "c"], [30, 20, 10]))
    X, y = numbered(sizes), da.from_array(labels, chunks=17)
    seed = int(rng.integers(99))
    split = train_test_split(X, y, stratify=y, test_size=test_size, random_state=seed)
    X_train, X_test, y_train, y_test = dask.compute(*split)
    assert sorted([*X_train[:, 0], *X_test[:, 0]]) == list(range(60))
    np.testing.assert_array_equal(labels[X_train[:, 0]], y_train)
    np.testing.assert_array_equal(labels[X_test[:, 0]], y_test)
    expected = np.array([30, 20, 10]) * test_size
    np.testing.assert_array_equal(np.unique(y_test, return_counts=True)[1], expected)


def test_every_block_of_sorted_data_gives_its_share():
    X = numbered((1000, 400, 600))
    test = train_test_split(X, test_size=0.2, random_state=0)[1].compute()[:, 0]
    counts = np.histogram(test, [0, 1000, 1400, 2000])[0]
    assert np.abs(counts - [200, 80, 120]).max() <= 3
    # Within a block the rows come from all over it: the mean is 6 standard errors wide.
    assert abs(test[test < 1000].mean() - 500) < 6 * 289 / np.sqrt(200)


def test_every_row_is_as_likely_as_any_other():
    X = numbered((1, 5, 0, 2, 12))
    chosen = np.zeros(20)
    for _, test in ShuffleSplit(2000, test_size=5, random_state=0).split(X):
        chosen[test] += 1
    assert np.abs(chosen - 500).max() < 6 * np.sqrt(2000 * 0.25 * 0.75)


def test_rows_of_a_seed_stay_the_same_between_releases():
    test = train_test_split(numbered((10, 10)), test_size=4, random_state=0)[1].compute()
    assert test[:, 0].tolist() == [0, 9, 10, 19]
