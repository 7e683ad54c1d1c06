"""Splits read no more than they have to: blocks once, one at a time, lengths where unknown."""

from __future__ import annotations

import pickle
import weakref

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn import model_selection

import storage
from dlbd_estimators import LinearRegression
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.model_selection import KFold, ShuffleSplit, train_test_split


class Reads:
    """A Dask array that knows which of its blocks were read, and how many were alive at once."""

    def __init__(self, sizes, n_features=3):
        self.values = np.random.default_rng(0).normal(size=(sum(sizes), n_features))
        self.starts = np.cumsum([0, *sizes])
        self.clear()
        chunks = (tuple(sizes), (n_features,))
        self.array = da.map_blocks(
            self._load, chunks=chunks, dtype=float, meta=np.empty((0, n_features))
        )

    def clear(self):
        self.blocks, self.alive, self.most = [], 0, 0

    def _load(self, block_id):
        self.blocks.append(block_id[0])
        self.alive += 1
        self.most = max(self.most, self.alive)
        start, stop = self.starts[block_id[0] : block_id[0] + 2]
        block = self.values[start:stop].copy().view(Watched)
        weakref.finalize(block, self._died)
        return block

    def _died(self):
        self.alive -= 1


class Watched(np.ndarray):
    """Views keep their owner alive, and only arrays of a class of one's own are watched."""


def test_splitting_reads_nothing():
    reads = Reads([50] * 20)
    train_test_split(reads.array, da.ones(1000, chunks=70), random_state=0)
    list(KFold(4).split_arrays(reads.array))
    list(KFold(4).split(reads.array))
    assert reads.blocks == []


def test_chunks_are_as_large_as_blocks():
    reads = Reads([50] * 20)
    train, test = train_test_split(reads.array, test_size=0.2, random_state=0)
    assert train.chunks[0] == (40,) * 20
    assert test.chunks[0] == (50,) * 4
    for train, test in KFold(4, shuffle=True, random_state=0).split_arrays(reads.array):
        assert len(train.chunks[0]) == 20
        assert len(test.chunks[0]) <= 6
        assert max(test.chunks[0]) <= 50
    few = train_test_split(Reads([50] * 100).array, test_size=100, random_state=0)[1]
    assert few.chunks[0] == (16,) * 6 + (4,)


def test_a_chunk_reads_its_blocks_once_and_one_at_a_time():
    reads = Reads([50] * 20)
    train, test = train_test_split(reads.array, test_size=0.2, random_state=0)
    with dask.config.set(scheduler="synchronous"):
        train.blocks[3].compute()
        assert reads.blocks == [3]
        reads.clear()
        test.blocks[1].compute()
    assert sorted(reads.blocks) == [5, 6, 7, 8, 9]
    assert reads.most == 1


def test_a_fit_reads_every_block_once_a_pass():
    reads = Reads([50] * 20)
    y = reads.values @ [1.0, 2.0, 3.0] + 4.0
    split = train_test_split(reads.array, da.from_array(y, chunks=130), random_state=0)
    with dask.config.set(scheduler="synchronous"):
        model = LinearRegression().fit(split[0], split[2])
        assert sorted(reads.blocks) == list(range(20))
        assert reads.most <= 2
        reads.clear()
        assert model.score(split[1], split[3]) == pytest.approx(1.0)
    assert sorted(reads.blocks) == list(range(20))
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], rtol=1e-12)


def unknown(array):
    """The same array, the lengths of whose chunks Dask does not know."""
    chunks = (tuple(np.nan for _ in array.chunks[0]), *array.chunks[1:])
    return da.Array(array.dask, array.name, chunks, meta=array._meta)


def test_unknown_lengths_are_found_by_one_pass_over_the_smallest():
    X = Reads([30, 0, 1, 69])
    y = Reads([30, 0, 1, 69], 1)
    target = X.array[:, :1]
    found = train_test_split(unknown(X.array), unknown(target), random_state=0)
    assert sorted(X.blocks) == [0, 1, 2, 3]
    for one, other in zip(dask.compute(*found[:2]), dask.compute(*found[2:]), strict=True):
        np.testing.assert_array_equal(one[:, :1], other)
    # As many blocks of another source may be cut in another way.
    found = train_test_split(unknown(X.array), unknown(y.array), random_state=0)
    assert sorted(y.blocks) == [0, 1, 2, 3]
    expected = train_test_split(X.array, y.array, random_state=0)
    for one, other in zip(dask.compute(*found), dask.compute(*expected), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0].shape == (75, 3)
    y.clear()
    # Known lengths of one array hold for others of its source with as many blocks.
    train_test_split(unknown(X.array), y.array, unknown(y.array)[:, 0], random_state=0)
    assert y.blocks == []
    # Those with another number of blocks are measured, and cut anew.
    other = unknown(da.from_array(X.values, chunks=(13, 3)))
    train, test, train_2, test_2 = train_test_split(X.array, other, random_state=0)
    np.testing.assert_array_equal(train, train_2)
    np.testing.assert_array_equal(test, test_2)


def test_as_many_blocks_of_other_lengths_are_measured():
    X, y = Reads([30, 70]).array, Reads([50, 50]).array
    found = train_test_split(unknown(X), y, random_state=0)
    for one, other in zip(found, train_test_split(X, y, random_state=0), strict=True):
        np.testing.assert_array_equal(one.compute(), other.compute())


def test_lengths_that_were_taken_over_wrongly_are_refused():
    y = Reads([50, 50]).array
    X = unknown(y.map_blocks(lambda block: block[:30], dtype=float))
    train = train_test_split(X, y, random_state=0)[0]
    with pytest.raises(LengthMismatch, match=r"block 0 has 30 rows where 50 were expected"):
        train.blocks[0].compute()


def frame(rng, n_rows=90):
    values = rng.normal(size=(n_rows, 2))
    index = np.arange(1000, 1000 + n_rows)
    return pd.DataFrame(values, columns=["a", "b"], index=index).assign(y=np.arange(n_rows))


def test_data_frames_stay_data_frames(rng):
    pdf = frame(rng)
    ddf = dd.from_pandas(pdf, npartitions=4, sort=False)
    X, y = ddf[["a", "b"]], ddf["y"]
    weight = da.arange(90, chunks=7)
    split = train_test_split(X, y, weight, test_size=0.3, random_state=0)
    assert isinstance(split[0], dd.DataFrame)
    assert isinstance(split[2], dd.Series)
    X_train, X_test, y_train, y_test, w_train, w_test = (each.compute() for each in split)
    assert (len(X_train), len(X_test)) == (63, 27)
    pd.testing.assert_frame_equal(X_train, pdf.loc[X_train.index, ["a", "b"]])
    pd.testing.assert_frame_equal(X_test, pdf.loc[X_test.index, ["a", "b"]])
    pd.testing.assert_series_equal(y_train, pdf.loc[X_train.index, "y"])
    np.testing.assert_array_equal(y_train, w_train)
    np.testing.assert_array_equal(y_test, w_test)
    model = LinearRegression().fit(split[0], split[2])
    expected = LinearRegression().fit(X_train, y_train)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    # An array first: the frame is cut where the array is.
    split = train_test_split(weight, X, test_size=0.3, random_state=0)
    w_train, w_test, X_train, X_test = (each.compute() for each in split)
    pd.testing.assert_frame_equal(X_train, pdf[["a", "b"]].iloc[w_train])
    pd.testing.assert_frame_equal(X_test, pdf[["a", "b"]].iloc[w_test])
    for X_train, X_test in KFold(3).split_arrays(X):
        assert (len(X_train), len(X_test)) == (60, 30)


def test_arrays_in_memory_beside_lazy_ones_stay_in_memory():
    X, values = da.arange(90, chunks=20), np.arange(90)
    y, listed = pd.Series(values), values.tolist()
    for options in ({}, {"stratify": da.from_array(values % 3, chunks=11)}, {"shuffle": False}):
        seed = None if options.get("shuffle") is False else 0
        split = train_test_split(X, values, y, listed, random_state=seed, **options)
        for lazy, *others in (split[::2], split[1::2]):
            rows = lazy.compute().tolist()
            assert [type(each) for each in others] == [np.ndarray, pd.Series, list]
            assert others[0].tolist() == others[1].tolist() == others[2] == rows


def test_zarr_arrays_become_dask_arrays():
    stored = zarr.create_array({}, shape=(100, 2), chunks=(30, 2), dtype="f8")
    stored[:] = np.arange(200.0).reshape(100, 2)
    train, test = train_test_split(stored, test_size=0.1, random_state=0)
    assert isinstance(train, da.Array)
    rows = np.sort(np.concatenate([train[:, 0].compute(), test[:, 0].compute()]))
    np.testing.assert_array_equal(rows, np.arange(0.0, 200.0, 2.0))


def test_a_data_set_is_split_into_its_arrays(tmp_path, rng):
    X = rng.normal(size=(100, 2))
    y, weight = X[:, 0] * 2, X[:, 0] + 9
    storage.create_dataset(tmp_path / "data.zarr", X, y, sample_weight=weight)
    dataset = storage.open_dataset(tmp_path / "data.zarr")
    split = dask.compute(*train_test_split(dataset, random_state=0))
    assert [len(each) for each in split] == [75, 25] * 3
    for X_part, y_part, weight_part in (split[::2], split[1::2]):
        np.testing.assert_array_equal(y_part, X_part[:, 0] * 2)
        np.testing.assert_array_equal(weight_part, X_part[:, 0] + 9)
    assert [len(each) for each in KFold(4).split_arrays(dataset)] == [6] * 4
    with pytest.raises(TypeError, match=r"split on its own.*dataset\.X"):
        train_test_split(dataset, y)


@pytest.mark.parametrize("as_frame", [False, True])
def test_arrays_in_memory_are_split_by_scikit_learn(as_frame, rng):
    X, y = rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
    if as_frame:
        X = pd.DataFrame(X, columns=["a", "b"])
    for options in ({"test_size": 0.3}, {"stratify": y}, {"shuffle": False}):
        ours = train_test_split(X, y, random_state=1, **options)
        theirs = model_selection.train_test_split(X, y, random_state=1, **options)
        for one, other in zip(ours, theirs, strict=True):
            assert type(one) is type(other)
            np.testing.assert_array_equal(one, other)
    lazily = train_test_split(X, random_state=1, stratify=da.from_array(y, chunks=9))
    eagerly = model_selection.train_test_split(X, random_state=1, stratify=y)
    np.testing.assert_array_equal(lazily[0], eagerly[0])
    for name, options in (
        ("KFold", {"shuffle": True, "random_state": 3}),
        ("ShuffleSplit", {"test_size": 0.2, "random_state": 3}),
    ):
        ours = {"KFold": KFold, "ShuffleSplit": ShuffleSplit}[name](4, **options)
        theirs = getattr(model_selection, name)(4, **options)
        assert repr(ours) == repr(theirs)
        assert ours.get_n_splits() == theirs.get_n_splits() == 4
        pairs = zip(ours.split(X, y), ours.split_arrays(X, y), theirs.split(X, y), strict=True)
        for mine, arrays, reference in pairs:
            np.testing.assert_array_equal(mine[0], reference[0])
            np.testing.assert_array_equal(mine[1], reference[1])
            np.testing.assert_array_equal(arrays[2], y[reference[0]])
            np.testing.assert_array_equal(arrays[1], np.asarray(X)[reference[1]])


def test_a_cluster_chooses_the_same_rows(client):
    X = da.arange(1000, chunks=90)
    with dask.config.set(scheduler="synchronous"):
        expected = train_test_split(X, random_state=5)[1].compute()
    found = train_test_split(X, random_state=5)[1]
    np.testing.assert_array_equal(found.compute(), expected)
    persisted = train_test_split(client.persist(X), random_state=5)[1]
    np.testing.assert_array_equal(persisted.compute(), expected)


def test_graphs_pickle_small():
    X = da.zeros((100_000, 2), chunks=(1000, 2))
    train = train_test_split(X, random_state=0)[0]
    assert len(pickle.dumps(dict(train.__dask_graph__()))) < 100_000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ValueError, "At least one array"),
        ((da.ones(5), da.ones(6)), LengthMismatch, r"inconsistent numbers of samples: \[5, 6\]"),
        ((da.ones(5), np.ones(6)), LengthMismatch, r"inconsistent numbers of samples: \[5, 6\]"),
        ((da.ones(0),), ValueError, "0 samples"),
        ((da.ones(5), {"test_size": 1.5}), ValueError, "test_size=1.5"),
        ((da.ones(5), {"test_size": 5}), ValueError, "test_size=5"),
        ((da.ones(5), {"test_size": "half"}), ValueError, "Invalid value for test_size: 'half'"),
        ((da.ones(5), {"train_size": 0.6, "test_size": 0.6}), ValueError, "sum of train_size"),
        ((da.ones(1), {}), ValueError, "train set will be empty"),
        ((da.ones(5), {"shuffle": False, "stratify": da.ones(5)}), ValueError, "shuffle=False"),
        ((da.ones(5), {"stratify": da.arange(5)}), ValueError, "only 1 member"),
        ((da.ones(5), {"stratify": da.ones((5, 2))}), ValueError, "one label for each row"),
        (
            (da.ones(8), {"stratify": da.arange(8) % 3, "test_size": 2}),
            ValueError,
            "test_size = 2 should be greater or equal to the number of classes = 3",
        ),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    *arrays, options = (
        arguments if arguments and isinstance(arguments[-1], dict) else (*arguments, {})
    )
    with pytest.raises(error, match=message):
        train_test_split(*arrays, **options)


def test_bad_folds_are_refused():
    X = da.ones((4, 1), chunks=(2, 1))
    with pytest.raises(ValueError, match="n_splits=5 greater than the number of samples"):
        next(KFold(5).split(X))
    with pytest.raises(ValueError, match="n_splits=5 greater than the number of samples"):
        next(KFold(5).split_arrays(X))
    with pytest.raises(ValueError, match="random_state has no effect"):
        KFold(5, random_state=0)
    with pytest.raises(ValueError, match="test_size=7"):
        next(ShuffleSplit(test_size=7).split(X))
    with pytest.warns(UserWarning, match="groups parameter is ignored by KFold"):
        next(KFold(2).split(X, groups=[0, 0, 1, 1]))
