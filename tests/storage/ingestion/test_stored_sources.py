"""Data sets by their paths, and xarray Datasets, as raw rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr

import storage
from storage import Column, CSVFormat

N = 12
FRAME = pd.DataFrame({"a": np.arange(N) - 3.0, "c": ["u", "v"] * (N // 2), "y": np.arange(N) % 3})


def values(data):
    return data.feature_names, data.X.compute().tolist(), data.y.compute().tolist()


@pytest.fixture
def stored(tmp_path):
    return storage.ingest(FRAME, tmp_path / "rows.zarr", target="y", dtype="float32")


@pytest.mark.parametrize("name", ["rows.zarr", "other"])
def test_a_data_set_by_its_path_is_the_data_set(stored, tmp_path, name):
    path = stored.path.rename(tmp_path / name)
    options = {"target": "y", "columns": {"a": Column(minimum=0, out_of_range="drop")}}
    by_path = storage.ingest([str(path)], tmp_path / "p", **options)
    opened = storage.ingest(storage.open_dataset(path), tmp_path / "o", **options)
    assert values(by_path) == values(opened)
    assert by_path.n_samples == N - 3


def test_a_data_set_that_is_not_there_or_is_no_csv_file(stored, tmp_path):
    with pytest.raises(storage.DatasetNotFound, match=r"no\.zarr"):
        storage.ingest(tmp_path / "no.zarr", tmp_path / "d", target="y")
    for source in (stored, stored.path):
        with pytest.raises(ValueError, match="csv is for files, and the source is a Dataset"):
            storage.ingest(source, tmp_path / "d", target="y", csv=CSVFormat())


@pytest.mark.parametrize("chunks", [None, 5])
def test_an_xarray_dataset_is_its_table(tmp_path, chunks):
    grid = xr.Dataset(
        {"t": (("time", "x"), np.arange(N * 2.0).reshape(N, 2)), "y": ("time", np.arange(N))},
        coords={"time": pd.date_range("2020", periods=N), "x": [10, 20]},
    )
    given = grid if chunks is None else grid.chunk(time=chunks)
    data = storage.ingest(given, tmp_path / "d", target="y", features=["x", "t"])
    names, X, y = values(data)
    table = grid.to_dataframe().reset_index()
    assert names == ("x", "t")
    np.testing.assert_array_equal(X, table[["x", "t"]])
    assert y == table["y"].tolist()


def test_an_arrow_batch_is_its_table(tmp_path):
    data = storage.ingest(pa.RecordBatch.from_pandas(FRAME), tmp_path / "d", target="y")
    assert values(data) == values(storage.ingest(FRAME, tmp_path / "f", target="y"))


def test_other_xarray_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"cannot ingest a Variable: .* an xarray Dataset or"):
        storage.ingest(xr.Variable("x", np.eye(3)[0]), tmp_path / "d", target="y")
