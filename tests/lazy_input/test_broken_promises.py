"""Partitions and blocks that are not what their collection says: their own rows, or an error."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from dlbd_estimators import LogisticRegression, Ridge, metrics
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.exceptions import BadBlock
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import StandardScaler

COLUMNS = list("abc")


def table(n=120):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=COLUMNS)
    return frame.assign(y=frame.a + 2 * frame.b - frame.c + 0.1 * rng.normal(size=n))


TABLE = table()
EXPECTED = Ridge().fit(TABLE[COLUMNS], TABLE.y)


def part(number):
    return TABLE.iloc[number * 30 : number * 30 + 30]


def objects(number):
    return part(number).astype(object)


def promised(dtype, read=part):
    """The rows in partitions of floats, although the frame says that they are something else."""
    return dd.from_map(read, range(4), meta=TABLE.iloc[:0].astype(dtype))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", "Int64"])
@pytest.mark.parametrize("read", [part, objects])
def test_numbers_are_not_rounded_to_what_the_frame_says(dtype, read):
    frame = promised(dtype, read)
    X, y = frame[COLUMNS], frame["y"]
    model = Ridge().fit(X, y)
    np.testing.assert_allclose(model.coef_, EXPECTED.coef_, rtol=1e-9)
    score = EXPECTED.score(TABLE[COLUMNS], TABLE.y)
    assert model.score(X, y) == pytest.approx(score, rel=1e-9)
    assert metrics.r2_score(y, model.predict(X)) == pytest.approx(score, rel=1e-9)
    np.testing.assert_allclose(StandardScaler().fit(X).mean_, TABLE[COLUMNS].mean(), rtol=1e-9)


def rounded(number):
    return part(number).assign(y=lambda frame: frame.y.round())


def test_labels_are_not_rounded_to_what_the_frame_says():
    frame = promised({"y": "uint8"}, rounded)
    model = LogisticRegression(C=0.1).fit(frame[COLUMNS], frame["y"])
    np.testing.assert_array_equal(model.classes_, np.unique(TABLE.y.round()))


@given(st.sampled_from(["int8", "int64", "bool", "float32"]), st.data())
def test_a_partition_becomes_an_array_of_its_own_numbers(dtype, data):
    values = data.draw(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=9))
    given_dtype = data.draw(st.sampled_from(["float64", "float32", "int64", "object"]))
    series = pd.Series(values).astype(given_dtype)
    lazy = dd.from_map(lambda _: series, [0], meta=pd.Series([], dtype=dtype))
    # A model of one feature, of which each row's prediction is its value.
    X = lazy.to_frame("a")
    model = Ridge(alpha=0.0).fit(np.arange(3.0)[:, None], np.arange(3.0))
    model.coef_, model.intercept_ = np.ones_like(model.coef_), 0.0
    model.__dict__.pop("feature_names_in_", None)
    found = metrics.max_error(lazy, model.predict(X.values))
    assert found == pytest.approx(0.0, abs=1e-4)
    mean = StandardScaler().fit(X).mean_
    np.testing.assert_allclose(mean, [series.astype(float).mean()], rtol=1e-6, atol=1e-6)


def test_predictions_by_map_partitions_are_arrays_in_a_series(tmp_path):
    lazy = dd.from_pandas(TABLE, npartitions=4)
    X = lazy[COLUMNS]
    predicted = X.map_partitions(EXPECTED.predict, meta=("predicted", float))
    expected = EXPECTED.predict(TABLE[COLUMNS])
    found = metrics.mean_squared_error(lazy["y"], predicted)
    assert found == pytest.approx(np.mean((expected - TABLE.y) ** 2), rel=1e-9)
    np.testing.assert_allclose(Ridge(alpha=0.0).fit(X, predicted).coef_, EXPECTED.coef_, rtol=1e-9)
    train, test = train_test_split(predicted, random_state=0)
    # A product's last bits are those of its number of rows.
    both = np.sort([*train.compute(), *test.compute()])
    np.testing.assert_allclose(both, np.sort(expected), rtol=1e-12)
    stored = storage.create_dataset(tmp_path / "a.zarr", X, predicted)
    np.testing.assert_allclose(stored.y.compute(), expected, rtol=1e-12)


class Partition:
    """Nothing that pandas knows."""

    columns, name = COLUMNS, "y"

    def copy(self, **_):
        return self


@pytest.mark.parametrize("which", ["X", "y"])
def test_what_is_no_pandas_object_is_refused_by_its_type(which):
    lazy = dd.from_pandas(TABLE, npartitions=4)
    X, y = lazy[COLUMNS], lazy["y"]
    bad = dd.from_map(lambda _: Partition(), range(4), meta=TABLE[COLUMNS].iloc[:0])
    if which == "y":
        bad = dd.from_map(lambda _: Partition(), range(4), meta=TABLE.y.iloc[:0])
    given_ = (bad, y.values) if which == "X" else (X.values, bad)
    with pytest.raises(BadBlock, match=f"{which} is a .* Partition, where a .* was promised"):
        Ridge().fit(*given_)


def arrays():
    X = da.from_array(TABLE[COLUMNS].to_numpy(), chunks=(30, 3))
    return X, da.from_array(TABLE.y.to_numpy(), chunks=30)


def nothing(_block):
    return None


def lists(block):
    return block.tolist()


@pytest.mark.parametrize("which", ["X", "y", "sample_weight"])
def test_a_block_that_is_none_is_refused(which):
    X, y = arrays()
    given_ = {"X": X, "y": y, "sample_weight": y**2}
    given_[which] = given_[which].map_blocks(nothing, dtype=float, meta=given_[which]._meta)
    with pytest.raises(BadBlock, match=f"{which} is None"):
        Ridge().fit(**given_)


def test_blocks_of_lists_are_the_numbers_they_hold():
    X, y = (each.map_blocks(lists, dtype=float, meta=each._meta) for each in arrays())
    model = Ridge().fit(X, y)
    np.testing.assert_allclose(model.coef_, EXPECTED.coef_, rtol=1e-9)
    np.testing.assert_allclose(StandardScaler().fit(X).mean_, TABLE[COLUMNS].mean(), rtol=1e-9)
    score = EXPECTED.score(TABLE[COLUMNS], TABLE.y)
    assert metrics.r2_score(y, model.predict(X)) == pytest.approx(score, rel=1e-9)
    X_train, _, y_train, _ = train_test_split(X, y, random_state=0)
    assert Ridge().fit(X_train, y_train).score(X_train, y_train) > 0.9


def test_an_unknown_number_of_columns_is_refused():
    X, y = arrays()
    X = da.Array(X.dask, X.name, (X.chunks[0], (np.nan,)), dtype=float)
    for use in (lambda: Ridge().fit(X, y), lambda: StandardScaler().fit(X)):
        with pytest.raises(ValueError, match="unknown number of columns"):
            use()


def test_columns_of_several_levels_are_stored(tmp_path):
    lazy = dd.from_pandas(TABLE.assign(k=np.arange(120) % 7), npartitions=3)
    frame = lazy.groupby("k").agg({"a": ["mean", "sum"], "b": ["min"], "y": ["mean"]})
    stored = storage.create_dataset(tmp_path / "a.zarr", frame[["a", "b"]], frame["y", "mean"])
    expected = frame.compute()
    np.testing.assert_allclose(stored.X.compute(), expected[["a", "b"]].to_numpy())
    np.testing.assert_allclose(stored.y.compute(), expected["y", "mean"].to_numpy())


def test_sparse_columns_of_numbers_are_numbers():
    frame = TABLE.assign(a=pd.arrays.SparseArray(np.where(TABLE.a > 0, TABLE.a, 0.0), fill_value=0))
    lazy = dd.from_pandas(frame, npartitions=4)
    dense = frame.assign(a=np.asarray(frame.a))
    expected = Ridge().fit(dense[COLUMNS], dense.y)
    model = Ridge().fit(lazy[COLUMNS], lazy["y"])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


def without_b(block):
    return block.drop(columns="b") if block.index.min() == 30 else block


@pytest.mark.parametrize(
    "transformer",
    [StandardScaler(), ColumnTransformer([("scaled", StandardScaler(), ["a", "b"])])],
    ids=["scaler", "columns"],
)
def test_a_partition_without_a_selected_column_is_refused_by_its_number(transformer):
    lazy = dd.from_pandas(TABLE[COLUMNS], npartitions=4)
    bad = lazy.map_partitions(without_b, meta=lazy._meta, enforce_metadata=False)
    with pytest.raises(BadBlock, match="block 1 of X lacks columns that were promised"):
        transformer.fit(bad[["a", "b"]])
