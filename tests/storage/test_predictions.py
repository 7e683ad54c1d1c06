"""Predictions come back from Parquet and Zarr as they were, whatever their blocks."""

from __future__ import annotations

import io
import os
import shutil

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from storage import DatasetExists, UnsupportedURL
from storage.location import store_at
from storage.predictions import write_predictions
from tests.strategies import cuts

CLASSES = ["a", "bird", "cat"]


@given(st.data(), st.integers(0, 12), st.sampled_from(["f4", "i8", "?", "O"]))
def test_what_is_written_is_what_was_predicted(tmp_path_factory, data, n_rows, dtype):
    sizes = data.draw(cuts(n_rows))
    rng = np.random.default_rng(n_rows)
    codes = rng.integers(0, 3, n_rows)
    first = np.array(CLASSES, object)[codes] if dtype == "O" else codes.astype(dtype)
    second = rng.normal(size=(n_rows, 2))
    columns = {
        "prediction": da.from_array(first, chunks=(sizes,)),
        "probability": da.from_array(second, chunks=(sizes, 2)),
    }
    folder = tmp_path_factory.mktemp("written")
    write_predictions(columns, str(folder / "some.parquet"))
    found = pd.read_parquet(folder / "some.parquet")
    assert list(found) == ["prediction", "probability_0", "probability_1"]
    np.testing.assert_array_equal(found["prediction"].to_numpy(), first)
    np.testing.assert_array_equal(found.iloc[:, 1:].to_numpy(), second)
    write_predictions(columns, str(folder / "some.zarr"), classes=CLASSES)
    group = zarr.open_group(folder / "some.zarr", mode="r")
    assert group["prediction"].dtype == ("i4" if dtype == "O" else dtype)
    np.testing.assert_array_equal(group["prediction"][:], codes if dtype == "O" else first)
    np.testing.assert_array_equal(group["probability"][:], second)
    assert sorted(os.listdir(folder)) == ["some.parquet", "some.zarr"]
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["some.parquet", "some.zarr"])
def test_nothing_is_replaced_and_nothing_is_left(tmp_path, name):
    (tmp_path / name).mkdir()
    rows = {"prediction": da.ones(4, chunks=2)}
    with pytest.raises(DatasetExists, match="is there already"):
        write_predictions(rows, str(tmp_path / name))
    with pytest.raises(UnsupportedURL, match="can be read, but"):
        write_predictions(rows, f"https://nowhere.invalid/{name}")
    with pytest.raises(UnsupportedURL, match="cannot store or open"):
        write_predictions(rows, f"foo://bucket/{name}")
    broken = {
        "prediction": da.ones(4, chunks=2).map_blocks(lambda block: len(block) // 0, dtype=float)
    }
    with pytest.raises(ZeroDivisionError):
        write_predictions(broken, str(tmp_path / f"new-{name}"))
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["some.parquet", "some.zarr"])
def test_predictions_in_an_object_store(name):
    url = f"memory://predictions/{name}"
    rows = {"prediction": da.arange(5, chunks=2), "probability": da.ones((5, 2), chunks=(2, 2))}
    broken = {"prediction": da.ones(4, chunks=2).map_blocks(np.linalg.inv, dtype=float)}
    with pytest.raises(np.linalg.LinAlgError):
        write_predictions(broken, url)
    files = store_at(url)
    assert files.names() == []
    write_predictions(rows, url)
    assert "_SUCCESS" in files.names()
    if name.endswith(".zarr"):
        group = zarr.open_group(files.for_zarr(), mode="r")
        np.testing.assert_array_equal(group["prediction"][:], np.arange(5))
        np.testing.assert_array_equal(group["probability"][:], np.ones((5, 2)))
    else:
        parts = sorted(each for each in files.names() if each.startswith("part"))
        frames = [pd.read_parquet(io.BytesIO(files.read(each).tobytes())) for each in parts]
        assert pd.concat(frames)["prediction"].tolist() == [0, 1, 2, 3, 4]
        assert list(frames[0]) == ["prediction", "probability_0", "probability_1"]
    with pytest.raises(DatasetExists, match="is there already"):
        write_predictions(rows, url)
