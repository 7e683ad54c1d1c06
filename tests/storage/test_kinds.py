"""Lazy types stay lazy or are refused with what to do; none is loaded in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import dask
import dask.array as da
import dask.bag
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import storage

X = np.arange(40.0).reshape(20, 2)
Y = X[:, 0].copy()


def raising(*_):
    raise AssertionError("this was loaded")


class LazyCollection:
    """Some package's own collection, e.g. a table."""

    def __dask_graph__(self):
        return {"a": (raising,)}

    def __dask_keys__(self):
        return ["a"]

    __array__ = raising


class LazyFrame:
    __array__ = raising


LazyFrame.__module__ = "polars.lazyframe.frame"

REFUSED = {
    "Bag": (dask.bag.from_sequence(range(20)), "a dask Bag.*to_dataframe"),
    "Delayed": (dask.delayed(raising)(), "a dask Delayed.*from_delayed"),
    "collection": (LazyCollection(), "LazyCollection, which would be loaded whole"),
    "polars": (LazyFrame(), "a polars LazyFrame.*sink_parquet"),
    "list": ([da.from_array(Y), da.from_array(Y)], "a list of lazy collections.*stack"),
    "scalar": (dd.from_pandas(pd.Series(Y), npartitions=2).sum(), "which would be loaded whole"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("place", ["X", "y", "sample_weight"])
def test_refused_with_what_to_do(tmp_path, kind, place):
    values, message = REFUSED[kind]
    given = {"X": X, "y": Y, "sample_weight": np.ones(20)} | {place: values}
    with pytest.raises(TypeError, match=f"{place} is .*{message}|{place} is {message}"):
        storage.create_dataset(tmp_path / "d", **given)
    assert not (tmp_path / "d").exists()


def test_an_index_is_a_column(tmp_path):
    frame = pd.DataFrame({"a": Y}, index=pd.Index(Y * 2, name="k"))
    ddf = dd.from_pandas(frame, npartitions=3)
    for name, index in (("d", ddf.index), ("e", frame.index)):
        data = storage.create_dataset(tmp_path / name, ddf[["a"]], index)
        np.testing.assert_array_equal(data.y.compute(), Y * 2)


class OnDisk:
    """As h5py's datasets: what is asked for is read, the whole only by mistake."""

    shape, dtype, ndim, chunks = X.shape, X.dtype, 2, (5, 2)
    __array__ = raising

    def __getitem__(self, key):
        assert key[0] != slice(None)
        return X[key]


def test_arrays_on_disk_are_read_block_by_block(tmp_path):
    data = storage.create_dataset(tmp_path / "d", OnDisk(), Y, chunk_nbytes=64, block_nbytes=96)
    np.testing.assert_array_equal(data.X.compute(), X)


def test_xarray(tmp_path):
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(X, dims=("row", "column"))
    lazy = array.chunk(row=6)
    calls = []
    lazy = lazy.copy(data=lazy.data.map_blocks(lambda block: calls.append(len(block)) or block))
    calls.clear()
    for name, given in (("a", array), ("b", lazy), ("c", lazy.variable)):
        data = storage.create_dataset(tmp_path / name, given, array[:, 0])
        np.testing.assert_array_equal(data.X.compute(), X)
    assert sorted(calls) == [2, 2, 6, 6, 6, 6, 6, 6]
    with pytest.raises(TypeError, match="X is an xarray Dataset"):
        storage.create_dataset(tmp_path / "d", xarray.Dataset({"a": lazy}), Y)


def test_polars(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": Y, "b": [1, None] * 10, "c": [True, False] * 10})
    data = storage.create_dataset(tmp_path / "d", frame, polars.Series([0, 1] * 10))
    expected = np.column_stack([Y, [1, np.nan] * 10, [1, 0] * 10])
    np.testing.assert_array_equal(data.X.compute(), expected)
    assert data.feature_names == ("a", "b", "c")
    assert data.y.dtype == np.int64
    with pytest.raises(TypeError, match="X is a polars LazyFrame"):
        storage.create_dataset(tmp_path / "e", frame.lazy(), Y)
    with pytest.raises(TypeError, match=r"column 's' of X has dtype .*string"):
        storage.create_dataset(tmp_path / "e", polars.DataFrame({"s": ["a"] * 20}), Y)
    with pytest.raises(ValueError, match="row 1 of y has no value"):
        storage.create_dataset(tmp_path / "e", X, frame["b"])


def test_expression_arrays(tmp_path):
    # Dask decides once, when it is imported.
    script = textwrap.dedent("""
        import sys
        import dask.array as da, numpy as np, storage
        X = np.arange(40.0).reshape(20, 2)
        lazy = da.from_array(X, chunks=(6, 2))
        assert type(lazy).__module__ != "dask.array.core", type(lazy)
        data = storage.create_dataset(sys.argv[1], lazy + 1, lazy[:, 0], chunk_nbytes=64)
        np.testing.assert_array_equal(storage.open_dataset(sys.argv[1]).X.compute(), X + 1)
        np.testing.assert_array_equal(data.y.compute(), X[:, 0])
    """)
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "d")], check=True, timeout=240,
        cwd=Path(storage.__file__).parents[1],
        env=os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"},
    )  # fmt: skip
