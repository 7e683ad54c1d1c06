"""Predictions come back from Parquet and Zarr as they were, whatever their blocks."""

from __future__ import annotations

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
    with pytest.raises(UnsupportedURL, match="local folders"):
        write_predictions(rows, f"s3://bucket/{name}")
    broken = {
        "prediction": da.ones(4, chunks=2).map_blocks(lambda block: len(block) // 0, dtype=float)
    }
    with pytest.raises(ZeroDivisionError):
        write_predictions(broken, str(tmp_path / f"new-{name}"))
    assert os.listdir(tmp_path) == [name]
