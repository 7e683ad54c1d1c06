"""Rows of lazy data by number are pandas' and NumPy's own, and stay beside one another."""

from __future__ import annotations

import pickle
from itertools import pairwise

import dask
import dask.array as da
import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn.utils
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    train_test_split,
)

from dlbd_estimators import LinearRegression, Ridge
from dlbd_estimators.base.rows_by_number.parts import parts_of, recut
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.model_selection import KFold

sizes_of_blocks = st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(sum)


@st.composite
def choices(draw):
    """Rows of each block, and numbers of rows in any order, some more than once."""
    sizes = draw(sizes_of_blocks)
    n_samples = sum(sizes)
    numbers = draw(st.lists(st.integers(-n_samples, n_samples - 1), max_size=20))
    if draw(st.booleans()):
        numbers = sorted({each % n_samples for each in numbers})
    return sizes, np.array(numbers, dtype=int)


def frame_of(sizes):
    n_samples = sum(sizes)
    pandas = pd.DataFrame(
        {
            "number": np.arange(n_samples) * 1.5,
            "whole": np.arange(n_samples),
            "kind": pd.Categorical.from_codes(np.arange(n_samples) % 3, ["x", "y", "z"]),
            "text": [f"row {i}" for i in range(n_samples)],
        },
        index=pd.Index(np.arange(n_samples)[::-1], name="key"),
    )
    cuts = np.cumsum([0, *sizes])
    pieces = [dask.delayed(pandas.iloc[a:b]) for a, b in pairwise(cuts)]
    with dask.config.set({"dataframe.convert-string": False}):
        return pandas, dd.from_delayed(pieces, meta=pandas.iloc[:0], verify_meta=False)


@given(choices())
def test_frames_give_the_rows_that_pandas_gives(choice):
    sizes, numbers = choice
    pandas, lazy = frame_of(sizes)
    X, y = sklearn.utils.indexable(lazy, lazy["number"])
    assert X.shape == pandas.shape
    assert len(y) == len(pandas)
    taken = X.take(numbers, axis=0)
    with dask.config.set(scheduler="synchronous"):
        pd.testing.assert_frame_equal(taken.compute(), pandas.take(numbers))
        pd.testing.assert_series_equal(y.take(numbers).compute(), pandas["number"].take(numbers))
        blocks = dask.compute(*taken.to_delayed())
        values = taken[["number"]].to_dask_array().compute()
    assert tuple(map(len, blocks)) == taken.row_blocks
    assert taken.shape == (len(numbers), 4)
    np.testing.assert_array_equal(values[:, 0], pandas["number"].to_numpy()[numbers])


@given(choices(), st.integers(1, 3))
def test_arrays_give_the_rows_that_numpy_gives(choice, n_columns):
    sizes, numbers = choice
    X = np.arange(sum(sizes) * 3.0).reshape(-1, 3)
    lazy = da.from_array(X, chunks=(tuple(sizes), n_columns))
    (opened,) = sklearn.utils.indexable(lazy)
    taken = opened[numbers, ...]
    np.testing.assert_array_equal(taken.compute(scheduler="synchronous"), X[numbers])
    np.testing.assert_array_equal(opened[:, 1], X[:, 1])
    mask = np.isin(np.arange(len(X)), numbers)
    np.testing.assert_array_equal(opened[mask].compute(scheduler="synchronous"), X[mask])


@given(choices())
def test_arrays_and_frames_are_cut_at_the_same_rows(choice):
    sizes, numbers = choice
    _, lazy = frame_of(sizes)
    other = da.from_array(np.arange(sum(sizes)), chunks=3)
    X, y = sklearn.utils.indexable(lazy, other)
    taken, beside = X.take(numbers), y[numbers]
    assert taken.row_blocks == beside.chunks[0]
    with dask.config.set(scheduler="synchronous"):
        for rows, values in zip(taken.partitions, beside.blocks, strict=True):
            np.testing.assert_array_equal(rows["whole"].compute(), values.compute())
    again, twice = sklearn.utils.indexable(taken, beside)
    assert again is taken
    assert twice is beside


@given(sizes_of_blocks, st.data())
def test_ascending_rows_are_read_block_by_block(sizes, data):
    numbers = sorted(data.draw(st.sets(st.integers(0, sum(sizes) - 1), min_size=1)))
    parts = parts_of(sizes, numbers)
    read = [piece.block for part in parts for piece in part.pieces]
    assert len(read) == len(set(read))
    assert all(part.order is None and part.n_rows <= max(sizes) for part in parts)


@given(sizes_of_blocks, sizes_of_blocks)
def test_rows_are_cut_anew_in_their_order(sizes, wanted):
    rest = max(sum(sizes), sum(wanted))
    sizes, wanted = [*sizes, rest - sum(sizes)], [*wanted, rest - sum(wanted)]
    blocks = np.split(np.arange(rest), np.cumsum(sizes)[:-1])
    parts = recut(sizes, [size for size in wanted if size])
    found = [part.join([p.take(blocks[p.block]) for p in part.pieces]) for part in parts]
    assert [len(part) for part in found] == [size for size in wanted if size]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(rest))


@pytest.mark.parametrize("numbers", [[5], [-6], [0.5], [[0, 1]], [True, False]])
def test_rows_that_there_are_not(numbers):
    with pytest.raises(IndexError):
        parts_of([2, 3], numbers)


def test_a_block_of_another_length_is_refused():
    lengths = iter([4, 4, 3])
    X = da.map_blocks(
        lambda: np.ones((next(lengths), 2)), chunks=((np.nan,), (2,)), meta=np.empty((0, 2))
    )
    # The first call counts.
    (opened,) = sklearn.utils.indexable(X)
    opened[[0, 1]].compute()
    with pytest.raises(LengthMismatch, match="Block 0 has 3 rows, but had 4"):
        opened[[0, 1]].compute()


def test_masks_stay_masked_and_sparse_blocks_sparse():
    masked = np.ma.masked_equal(np.arange(12.0), 7)
    (opened,) = sklearn.utils.indexable(da.from_array(masked, chunks=4))
    found = opened[[7, 0, 7]].compute()
    assert found.mask.tolist() == [True, False, True]


def test_what_is_opened_is_pickled():
    pandas, lazy = frame_of([3, 4])
    X, y, z = pickle.loads(
        pickle.dumps(sklearn.utils.indexable(lazy, lazy["number"], da.arange(7, chunks=2)))
    )
    pd.testing.assert_frame_equal(X.take([5, 1]).compute(), pandas.take([5, 1]))
    assert y.iloc[2] == 3.0
    assert z[[5, 1]].compute().tolist() == [5, 1]
    assert z.chunks == ((3, 4),)


def test_lengths_that_differ_are_refused():
    _, lazy = frame_of([3, 4])
    with pytest.raises(LengthMismatch, match=r"inconsistent numbers of samples: \[7, 8\]"):
        sklearn.utils.indexable(lazy, da.arange(8, chunks=4))
    with pytest.raises(ValueError, match="0 samples"):
        sklearn.utils.indexable(lazy[lazy["number"] < 0])


SHUFFLED = {
    "shuffle": lambda frame, _: frame.shuffle("key"),
    "set_index": lambda frame, _: frame.set_index("key"),
    "sort_values": lambda frame, _: frame.sort_values("a"),
    "merge": lambda frame, other: frame.merge(other, on="key"),
    "filter": lambda frame, _: frame[frame.a > 0],
    "concat": lambda frame, _: dd.concat([frame, frame]),
    "split": lambda frame, _: frame.random_split([0.7, 0.3], random_state=0)[0],
    "fill": lambda frame, _: frame.where(frame.a > 0, 0.5).fillna(frame.mean()),
}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """Rows of which y is a sum, in files of which Dask joins several when it reads one column."""
    rng = np.random.default_rng(0)
    pandas = pd.DataFrame(rng.normal(size=(2000, 3)), columns=list("abc"))
    pandas["key"] = rng.integers(0, 50, len(pandas))
    path = tmp_path_factory.mktemp("rows")
    for number in range(4):
        pandas.iloc[number * 500 : (number + 1) * 500].to_parquet(path / f"part.{number}.parquet")
    return path


@pytest.mark.parametrize("operation", SHUFFLED)
@pytest.mark.parametrize("source", ["memory", "parquet"])
def test_columns_of_one_frame_stay_beside_one_another(operation, source, parquet):
    frame = dd.read_parquet(parquet)
    frame = dd.from_pandas(frame.compute(), npartitions=4) if source == "memory" else frame
    other = dd.from_pandas(pd.DataFrame({"key": range(40), "d": 1.0}), npartitions=3)
    frame = SHUFFLED[operation](frame, other)
    frame = frame.assign(y=frame.a + 2 * frame.b - frame.c)
    X, y = frame[list("abc")], frame["y"]
    for cv in (KFold(2, shuffle=True, random_state=0), 2):
        found = cross_validate(
            LinearRegression(), X, y, cv=cv, return_estimator=True, error_score="raise"
        )
        np.testing.assert_allclose(found["test_score"], 1.0)
        np.testing.assert_allclose([each.coef_ for each in found["estimator"]], [[1, 2, -1]] * 2)
    params = {"sample_weight": abs(frame["y"]) + 1}
    weighted = cross_val_score(LinearRegression(), X, y, cv=2, params=params, error_score="raise")
    np.testing.assert_allclose(weighted, 1.0)


def test_what_was_shuffled_on_disk_is_the_same_each_time():
    _, lazy = frame_of([30, 40])
    shuffled = lazy.shuffle("whole", shuffle_method="disk")
    scores = [
        cross_val_score(Ridge(), frame[["number"]], frame["whole"], cv=2)
        for frame in (shuffled, shuffled)
    ]
    np.testing.assert_array_equal(*scores)
    assert scores[0].min() > 0.9


@pytest.fixture
def weighted():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(90, 2))
    y = X @ [1.0, -1.0] + rng.normal(size=90)
    return X, y, rng.uniform(0.1, 9.0, 90), rng.integers(0, 5, 90)


def series(values, npartitions=4):
    return dd.from_pandas(pd.Series(values), npartitions=npartitions)


METADATA = {
    "series": series,
    "unknown": lambda values: series(values).to_dask_array(),
    "array": lambda values: da.from_array(values, chunks=40),
}


@pytest.mark.parametrize("kind", METADATA)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_weights_and_groups_are_chosen_with_the_rows(kind, n_jobs, weighted):
    X, y, weight, groups = weighted
    lazy = da.from_array(X, chunks=(35, 2)), series(y, 3)
    cv = GroupKFold(3)
    options = {"cv": cv, "error_score": "raise"}
    expected = cross_val_score(
        Ridge(), X, y, groups=groups, params={"sample_weight": weight}, **options
    )
    assert not np.allclose(expected, cross_val_score(Ridge(), X, y, groups=groups, **options))
    params = {"sample_weight": METADATA[kind](weight)}
    with joblib.parallel_config(backend="threading", n_jobs=n_jobs):
        found = cross_val_score(
            Ridge(), *lazy, groups=METADATA[kind](groups), params=params, **options
        )
        predicted = cross_val_predict(Ridge(), *lazy, cv=KFold(3), params=params)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    expected = cross_val_predict(Ridge(), X, y, cv=KFold(3), params={"sample_weight": weight})
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


def test_what_has_no_value_a_row_is_passed_on():
    from sklearn.utils.validation import _check_method_params

    (X,) = sklearn.utils.indexable(da.ones((6, 2), chunks=3))
    other = da.ones(5, chunks=5)
    found = _check_method_params(X, {"other": other, "name": "this"}, indices=np.array([0, 4]))
    assert found["other"] is other
    assert found["name"] == "this"


def test_the_users_arrays_stay_as_they_are(weighted):
    frame = dd.from_pandas(pd.DataFrame(weighted[0]), npartitions=4)
    X, y = frame.to_dask_array(), frame[0].to_dask_array()
    cross_val_score(Ridge(), X, y, cv=2, error_score="raise")
    assert np.isnan(X.shape[0])
    assert np.isnan(y.shape[0])


def test_lazy_targets_beside_rows_in_memory_are_refused(weighted):
    X, y, *_ = weighted
    with pytest.raises(TypeError, match="y and sample_weight are lazy but X is in memory"):
        cross_val_score(Ridge(), X, series(y), cv=2, error_score="raise")


def test_scikit_learns_own_split_is_lazy(weighted):
    X, y, *_ = weighted
    parts = train_test_split(
        dd.from_pandas(pd.DataFrame(X), npartitions=4), da.from_array(y, chunks=40), random_state=0
    )
    expected = train_test_split(pd.DataFrame(X), y, random_state=0)
    assert all(dask.is_dask_collection(part) for part in parts)
    for part, known in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part.compute(), known)


@pytest.mark.cluster
@pytest.mark.timeout(60)
@pytest.mark.usefixtures("client")
def test_scores_are_found_on_a_cluster():
    rng = np.random.default_rng(0)
    pandas = pd.DataFrame(rng.normal(size=(90, 2)), columns=list("ab")).assign(key=range(90))
    frame = dd.from_pandas(pandas, npartitions=3).shuffle("key")
    y = frame.a + 2 * frame.b
    cv = [(np.arange(60), np.arange(60, 90))]
    found = cross_val_score(LinearRegression(), frame[["a", "b"]], y, cv=cv, error_score="raise")
    np.testing.assert_allclose(found, 1.0)
