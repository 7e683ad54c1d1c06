"""NumPy, Dask and xarray arrays as sources of raw rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion.array_sources import source_of_array

ROWS = np.array([[1.0, 4, 0], [2, 5, 1], [3, 6, 1], [np.nan, 7, 0]])


def same(data, X=ROWS[:, :2], y=ROWS[:, 2]):
    np.testing.assert_array_equal(data.X.compute(), X)
    np.testing.assert_array_equal(data.y.compute(), y)


@pytest.mark.parametrize(
    "source",
    [
        ROWS,
        ROWS.astype(">f8"),
        np.asfortranarray(ROWS),
        ROWS.astype(object),
        ROWS.astype(str),
        np.ma.array(np.nan_to_num(ROWS, nan=9), mask=np.isnan(ROWS)),
        np.ma.array(np.nan_to_num(ROWS, nan=9).astype(object), mask=np.isnan(ROWS)),
        da.from_array(ROWS, chunks=(3, 2)),
        da.from_array(ROWS.astype(object), chunks=(2, 1)),
        da.from_array(ROWS, chunks=2)[da.from_array(np.ones(4, bool), chunks=2)],
        da.ma.masked_invalid(da.from_array(ROWS, chunks=2)),
    ],
    ids=["plain", "big-endian", "Fortran", "objects", "texts", "masked", "masked-objects", "dask",
         "dask-objects", "unknown-rows", "dask-masked"],
)  # fmt: skip
def test_columns_of_arrays_are_numbered(tmp_path, source):
    data = storage.ingest(source, tmp_path / "d", target="x2", partition_nbytes=48)
    same(data)
    assert data.feature_names == ("x0", "x1")
    assert data.quality.columns["x1"].kind == "number"


@pytest.mark.parametrize("lazy", [False, True])
def test_structured_arrays_name_their_columns(tmp_path, lazy):
    fields = [("age", ">f8"), ("place", "U5"), ("since", "M8[D]"), ("late", "?")]
    rows = [
        (1.5, "a", "2020-02-01", True),
        (2.5, "b", "NaT", False),
        (3.5, "a", "2021-03-01", True),
    ]
    source = np.array(rows, fields)
    source = da.from_array(source, chunks=2) if lazy else source
    columns = {"since": storage.Column("datetime", parts=["month"])}
    data = storage.ingest(source, tmp_path / "d", target="late", columns=columns)
    assert data.feature_names == ("age", "place_a", "place_b", "since_month")
    same(data, [[1.5, 1, 0, 2], [2.5, 0, 1, np.nan], [3.5, 1, 0, 3]], [1, 0, 1])


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 200), st.integers(1, 5))
def test_partitions_of_any_size_hold_each_row_once(n_rows, n_columns, nbytes, chunk):
    array = np.arange(n_rows * n_columns, dtype=float).reshape(n_rows, n_columns)
    for source in (
        source_of_array(array, nbytes),
        source_of_array(da.from_array(array, chunks=chunk), nbytes),
    ):
        parts = source.loaded(source.names)
        found = [np.column_stack([part.table[name] for name in source.names]) for part in parts]
        np.testing.assert_array_equal(np.concatenate(found), array)


def test_a_dask_array_stays_lazy_until_its_rows_are_read():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.ones((2, 3))

    source = da.map_blocks(block, chunks=((2, 2), (3,)), dtype=float, meta=np.empty((0, 0)))
    assert source_of_array(source, 100).names == ("x0", "x1", "x2")
    assert read == []


def test_a_value_that_breaks_a_rule_is_named_by_its_row(tmp_path):
    rules = {"x0": storage.Column("number", maximum=2)}
    with pytest.raises(storage.InvalidData, match="'3' in row 2 of the array"):
        storage.ingest(ROWS, tmp_path / "d", target="x2", columns=rules, partition_nbytes=48)
    source = da.from_array(ROWS, chunks=((1, 3), 3))
    with pytest.raises(storage.InvalidData, match="'3' in row 1 of partition 1"):
        storage.ingest(source, tmp_path / "d", target="x2", columns=rules)


def test_a_data_array_is_a_column_beside_its_coordinates(tmp_path):
    array = xr.DataArray(
        [[1.0, 2], [3, 4]], {"day": [5, 6], "hour": [0, 1]}, ("day", "hour"), "heat"
    )
    for number, source in enumerate((array, array.chunk(day=1))):
        data = storage.ingest(source, tmp_path / f"{number}", target="heat")
        assert data.feature_names == ("day", "hour")
        same(data, [[5, 0], [5, 1], [6, 0], [6, 1]], [1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"no name .* array\.rename"):
        storage.ingest(array.rename(None), tmp_path / "d", target="heat")


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        (np.arange(4.0), ValueError, r"one column, .* storage\.create_dataset\(url, X, y\)"),
        (np.zeros((2, 2, 2)), ValueError, "3 dimensions; a table has two"),
        (np.zeros((2, 2), complex), ValueError, "column 'x0' of the array has the dtype complex"),
        (np.zeros(2, [("x0", "f8", 2), ("x1", "f8")]), ValueError, "'x0' of the array has 2 dim"),
        (da.zeros((2, 2, 2)), ValueError, "3 dimensions; a table has two"),
        (da.zeros((4, 2))[:, da.array([True, False])], ValueError, "number of columns .* unknown"),
        (3, TypeError, r"cannot ingest a int: .* storage\.create_dataset\(url, X, y\)"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path, source, error, match):
    with pytest.raises(error, match=match):
        storage.ingest(source, tmp_path / "d", target="x1")
    assert not (tmp_path / "d").exists()


def test_sparse_blocks_are_refused(tmp_path):
    from scipy.sparse import csr_array

    source = da.from_array(np.eye(4), chunks=2).map_blocks(csr_array, meta=csr_array((0, 0)))
    with pytest.raises(TypeError, match=r"blocks .* csr_array.* storage\.create_dataset"):
        storage.ingest(source, tmp_path / "d", target="x1")


def test_without_a_target_the_error_shows_how_arrays_are_stored(tmp_path):
    with pytest.raises(TypeError, match=r"target='\.\.\.'.*storage\.create_dataset\(url, X, y\)"):
        storage.ingest(ROWS, tmp_path / "d")


@pytest.mark.parametrize(
    "table",
    [
        da.from_array(ROWS, chunks=2),
        xr.Dataset({"z": ("x0", [1.0, 2.0])}, {"x0": [1, 2]}).chunk(x0=1),
    ],
    ids=["array", "xarray"],
)
def test_a_lazy_table_is_not_loaded_for_a_join(tmp_path, table):
    join = storage.Join(table, on="x0", columns=["z"])
    with pytest.raises(TypeError, match=r"joins\[0\] is a lazy .*table\.compute\(\)"):
        storage.ingest(ROWS, tmp_path / "d", target="x2", joins=[join])


def test_an_array_is_a_table_to_join(tmp_path):
    names = [("x1", "f8"), ("z", "f8")]
    table = np.array([(number, number / 2) for number in range(4, 8)], names)
    data = storage.ingest(ROWS, tmp_path / "d", target="x2", joins=[storage.Join(table, on="x1")])
    same(data, np.column_stack([ROWS[:, :2], ROWS[:, 1] / 2]))
