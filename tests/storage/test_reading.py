"""Reading a data set: some columns, the first rows, as a Dask DataFrame, with xarray."""

from __future__ import annotations

import pickle
import sys

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from storage import blocks
from storage.naming import choose_columns

N = 50
X = np.arange(N * 3, dtype=np.float32).reshape(N, 3)
NAMES = ["age", "height", "weight"]
CODES = (np.arange(N) % 3).astype(np.int8)
SMALL = {"chunk_nbytes": 96, "block_nbytes": 500}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("reading") / "d"
    storage.create_dataset(
        path, X, CODES, np.arange(N) / 7, feature_names=NAMES, target="kind",
        classes=["low", "middle", "high"], **SMALL,
    )  # fmt: skip
    return path


@pytest.fixture
def read(monkeypatch):
    """Names of the arrays of which a chunk was read."""
    found = []
    real = blocks.read_chunks

    def read_chunks(store, layout, chunks, *more):
        found.extend(layout.name for _ in chunks)
        real(store, layout, chunks, *more)

    monkeypatch.setattr(blocks, "read_chunks", read_chunks)
    return found


class TestColumns:
    @settings(max_examples=10)
    @given(chosen=st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True), data=st.data())
    def test_of_any_choice_by_name_or_number(self, path, chosen, data):
        columns = [data.draw(st.sampled_from([each, NAMES[each]])) for each in chosen]
        opened = storage.open_dataset(path, columns=columns)
        assert opened.feature_names == tuple(NAMES[each] for each in chosen)
        assert opened.X.feature_names == opened.feature_names
        assert opened.n_features == len(chosen)
        assert opened.X.chunks[1] == (len(chosen),)
        np.testing.assert_array_equal(opened.X.compute(), X[:, chosen])
        assert opened.nbytes == N * (len(chosen) * 4 + 1 + 8)

    def test_all_of_it_else_is_as_ever(self, path):
        whole, part = storage.open_dataset(path), storage.open_dataset(path, columns=["age"])
        assert part.X.chunks[0] == whole.X.chunks[0]
        np.testing.assert_array_equal(part.y.compute(), CODES)
        assert part.verify().chunks == whole.verify().chunks
        assert part.X.name != whole.X.name
        assert part.X.name == storage.open_dataset(path, columns=[0]).X.name
        assert "1 of 3 stored, float32: age" in repr(part)
        assert "3 float32: age, height, weight" in repr(whole)

    def test_a_damaged_chunk_is_found(self, tmp_path):
        data = storage.create_dataset(tmp_path / "d", X, CODES, **SMALL)
        victim = data.path / data.layouts["X"].key(1)
        victim.write_bytes(victim.read_bytes()[:-1])
        with pytest.raises(storage.ChunkCorrupt, match="chunk 1 of array 'X'"):
            storage.open_dataset(data.path, columns=[2]).X.compute()

    @pytest.mark.parametrize(
        ("columns", "error", "message"),
        [
            (["wieght"], ValueError, "no column 'wieght': did you mean 'weight'"),
            (["zzz"], ValueError, "its columns are age, height, weight$"),
            ([3], ValueError, "numbers 0 to 2"),
            ([-1], ValueError, "no column -1"),
            ([], ValueError, "empty"),
            (["age", 0], ValueError, "age is repeated"),
            ("age", TypeError, "sequence of names or numbers"),
            (1, TypeError, "sequence of names or numbers"),
            ([True], TypeError, "got True"),
            ([1.0], TypeError, r"got 1\.0"),
        ],
    )
    def test_what_is_not_there(self, path, columns, error, message):
        with pytest.raises(error, match=message):
            storage.open_dataset(path, columns=columns)

    def test_names_of_many_columns_are_not_all_told(self):
        with pytest.raises(ValueError, match=r"x0, x1, x2, x3, x4, x5, \.\.\.$"):
            choose_columns(["zzz"], [f"x{each}" for each in range(9)])


def expected_frame():
    frame = pd.DataFrame(X, columns=NAMES)
    labels = pd.Categorical.from_codes(CODES, categories=["low", "middle", "high"])
    return frame.assign(kind=labels, sample_weight=np.arange(N) / 7)


class TestHead:
    def test_first_rows(self, path, read):
        data = storage.open_dataset(path)
        pd.testing.assert_frame_equal(data.head(3), expected_frame().head(3))
        assert data.X.numblocks[0] > 2
        per_block = data.schema.block_rows // data.layouts["X"].chunk_rows
        assert read.count("X") == per_block
        pd.testing.assert_frame_equal(data.head(), expected_frame().head(5))
        assert len(data.head(0)) == 0
        assert len(data.head(N + 9)) == N

    def test_below_0(self, path):
        with pytest.raises(ValueError, match="0 or more, got -1"):
            storage.open_dataset(path).head(-1)


class TestDaskDataFrame:
    def test_all_rows_of_all_columns(self, path):
        data = storage.open_dataset(path)
        frame = data.to_dask_dataframe()
        assert isinstance(frame, dd.DataFrame)
        assert frame.npartitions == data.X.numblocks[0]
        assert frame.known_divisions
        pd.testing.assert_frame_equal(frame.compute(), expected_frame())
        pd.testing.assert_frame_equal(frame.loc[20:30].compute(), expected_frame().loc[20:30])
        dd.utils.assert_eq(frame, expected_frame())

    def test_only_the_arrays_that_are_needed_are_read(self, path, read):
        frame = storage.open_dataset(path).to_dask_dataframe()
        assert read == []
        assert frame["kind"].compute().tolist() == expected_frame()["kind"].tolist()
        assert set(read) == {"y"}
        read.clear()
        np.testing.assert_array_equal(
            frame[["sample_weight", "age"]].compute(),
            expected_frame()[["sample_weight", "age"]],
        )
        assert set(read) == {"X", "sample_weight"}

    def test_several_outputs_and_some_columns(self, tmp_path):
        y = np.arange(N * 2).reshape(N, 2)
        data = storage.create_dataset(tmp_path / "d", X, y, **SMALL)
        part = storage.open_dataset(data.path, columns=[1])
        frame = pickle.loads(pickle.dumps(part.to_dask_dataframe()))
        assert list(frame.columns) == ["x1", "y0", "y1"]
        np.testing.assert_array_equal(frame.compute(), np.column_stack([X[:, 1], y]))
        named = storage.create_dataset(tmp_path / "e", X, y, target=["up", "down"])
        assert list(named.head(1).columns) == ["x0", "x1", "x2", "up", "down"]

    def test_two_columns_of_one_name(self, tmp_path):
        data = storage.create_dataset(tmp_path / "d", X, CODES, feature_names=["a", "y", "c"])
        for table in (data.to_dask_dataframe, data.head, data.describe):
            with pytest.raises(ValueError, match=r"two columns called 'y'.*columns="):
                table()
        assert len(storage.open_dataset(data.path, columns=["a", "c"]).head()) == 5


class TestLabels:
    def test_text(self, path):
        data = storage.open_dataset(path)
        assert data.labels.dtype == object
        assert data.labels.chunks == data.y.chunks
        assert data.labels.compute().tolist() == [["low", "middle", "high"][each] for each in CODES]

    @pytest.mark.parametrize("classes", [[10, 20, 30], [0.5, 1.5, 2.5], ["a", 1, 2.5]])
    def test_others(self, tmp_path, classes):
        data = storage.create_dataset(tmp_path / "d", X, CODES, classes=classes)
        found = data.labels.compute().tolist()
        assert found == [classes[each] for each in CODES]
        assert set(map(type, found)) == set(map(type, classes))

    def test_none(self, tmp_path):
        assert storage.create_dataset(tmp_path / "d", X, CODES).labels is None


class TestXarray:
    def test_variables_and_coordinates(self, path, read):
        pytest.importorskip("xarray")
        data = storage.open_dataset(path, columns=["weight", "age"]).to_xarray()
        assert read == []
        assert data["X"].dims == ("sample", "feature")
        assert data["y"].attrs == {"long_name": "kind", "classes": ["low", "middle", "high"]}
        np.testing.assert_array_equal(data["X"].sel(feature="age"), X[:, 0])
        np.testing.assert_array_equal(data["sample_weight"], np.arange(N) / 7)

    def test_several_outputs(self, tmp_path):
        pytest.importorskip("xarray")
        data = storage.create_dataset(tmp_path / "d", X, X[:, :2], target=["up", "down"])
        np.testing.assert_array_equal(data.to_xarray()["y"].sel(output="down"), X[:, 1])

    def test_without_xarray(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "xarray", None)
        with pytest.raises(ImportError, match="pip install xarray"):
            storage.open_dataset(path).to_xarray()
