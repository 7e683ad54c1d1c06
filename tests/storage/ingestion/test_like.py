"""Rows ingested by the steps of another data set, as those of a test set are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import Column


def rows(n, seed, carriers=("AA", "DL", "UA")):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": np.where(rng.random(n) < 0.2, np.nan, 100 * seed + rng.normal(size=n)),
            "carrier": rng.choice(carriers, n),
            "late": rng.choice(["no", "yes"], n),
        }
    )


@pytest.fixture
def train(tmp_path):
    columns = {"distance": Column(missing="impute"), "carrier": Column(unknown="ignore")}
    return storage.ingest(rows(200, 1), tmp_path / "train", target="late", columns=columns)


@given(
    st.integers(1, 30), st.integers(2, 5), st.sets(st.sampled_from(["AA", "UA", "XX"]), min_size=1)
)
def test_the_steps_are_those_of_the_training_rows(tmp_path_factory, n, seed, carriers):
    folder = tmp_path_factory.mktemp("like")
    columns = {"distance": Column(missing="impute"), "carrier": Column(unknown="ignore")}
    train = storage.ingest(rows(50, 1), folder / "train", target="late", columns=columns)
    frame = rows(n, seed, sorted(carriers))
    test = storage.ingest(frame, folder / "test", like=train)
    X, y, _ = train.encode(frame)
    np.testing.assert_array_equal(test.X.compute(), X)
    np.testing.assert_array_equal(test.y.compute(), y)
    assert (test.feature_names, test.classes) == (train.feature_names, train.classes)
    gaps = frame.distance.isna()
    assert (X[gaps, 0] == train.quality.columns["distance"].mean).all()
    # Its report counts its own rows, and its steps serve a third data set.
    assert test.quality.n_rows == n
    assert test.quality.columns["distance"].broken.get("missing", 0) == gaps.sum()
    again = storage.ingest(frame, folder / "again", like=folder / "test")
    np.testing.assert_array_equal(again.X.compute(), X)


def test_files_whose_columns_are_in_another_order(tmp_path, train):
    frame = rows(40, 2)
    frame[["late", "carrier", "distance"]].assign(other=1).to_csv(tmp_path / "a.csv", index=False)
    test = storage.ingest(tmp_path / "a.csv", tmp_path / "test", like=train, partition_nbytes=100)
    np.testing.assert_array_equal(test.X.compute(), train.encode(frame).X)


def test_x_has_the_dtype_of_the_training_rows_unless_another_is_asked_for(tmp_path):
    train = storage.ingest(rows(20, 1), tmp_path / "a", target="late", dtype="float32")
    assert storage.ingest(rows(9, 2), tmp_path / "b", like=train).X.dtype == np.float32
    test = storage.ingest(rows(9, 2), tmp_path / "c", like=train, dtype="float64")
    assert test.X.dtype == np.float64


def test_the_steps_of_a_shuffled_data_set(tmp_path, train):
    mixed = storage.shuffle(train, tmp_path / "mixed", seed=0)
    test = storage.ingest(rows(9, 2), tmp_path / "test", like=mixed)
    np.testing.assert_array_equal(test.X.compute(), train.encode(rows(9, 2)).X)


def test_a_category_of_the_test_rows_alone_is_named_with_its_line(tmp_path):
    storage.ingest(rows(50, 1), tmp_path / "train", target="late")
    rows(9, 2, ["AA", "XX"]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(storage.InvalidData, match=r"(?s)'XX' in line .*a\.csv.*unknown='error'"):
        storage.ingest(tmp_path / "a.csv", tmp_path / "test", like=tmp_path / "train")
    assert not (tmp_path / "test").exists()


def test_what_cannot_be_used(tmp_path, train):
    for options in ({"target": "late"}, {"features": ["carrier"]}, {"columns": {}}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} cannot be given with like="):
            storage.ingest(rows(9, 2), tmp_path / "test", like=train, **options)
    with pytest.raises(TypeError, match="name the target column"):
        storage.ingest(rows(9, 2), tmp_path / "test")
    with pytest.raises(storage.InvalidData, match=r"no column 'late', the target.*data\.encode"):
        storage.ingest(rows(9, 2).drop(columns="late"), tmp_path / "test", like=train)
    chosen = storage.open_dataset(tmp_path / "train", columns=["distance"])
    with pytest.raises(ValueError, match="opened with all its columns"):
        storage.ingest(rows(9, 2), tmp_path / "test", like=chosen)
    arrays = storage.create_dataset(tmp_path / "arrays", np.eye(3), np.arange(3))
    with pytest.raises(storage.NotADataset, match="did not make it"):
        storage.ingest(rows(9, 2), tmp_path / "test", like=arrays)
    with pytest.raises(storage.DatasetNotFound):
        storage.ingest(rows(9, 2), tmp_path / "test", like=tmp_path / "nothing")
    assert not (tmp_path / "test").exists()


@pytest.mark.parametrize("encoding", ["one-hot", "codes"])
def test_an_imputed_category_of_its_own(tmp_path, encoding):
    frame = pd.DataFrame({"c": ["b", None, "a"], "y": [0.0, 1.0, 2.0]})
    column = Column("category", encoding=encoding, missing="impute", fill_value="missing")
    data = storage.ingest(frame, tmp_path / "d", target="y", columns={"c": column})
    if encoding == "codes":
        assert data.X.compute().tolist() == [[1], [2], [0]]
    else:
        assert data.feature_names == ("c_a", "c_b", "c_missing")
        assert data.X.compute().tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
