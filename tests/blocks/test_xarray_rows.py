"""Rows of xarray objects: each row once, targets beside features, results in their place."""

from __future__ import annotations

from math import prod

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.xarray_rows import features_of, rows_together
from dlbd_estimators.exceptions import LengthMismatch

xr = pytest.importorskip("xarray")

DIMS = ("time", "y", "x")


@st.composite
def grids(draw):
    """Draw a Dataset of a feature on all dimensions, one on some, and a target in another order."""
    n_dims = draw(st.integers(1, 3))
    dims = draw(st.permutations(DIMS[:n_dims]))
    sizes = {dim: draw(st.integers(1, 5)) for dim in dims}
    numbers = np.arange(prod(sizes.values()), dtype=float).reshape(tuple(sizes.values()))
    whole = xr.DataArray(numbers, dims=dims, coords={dim: np.arange(n) for dim, n in sizes.items()})
    some = whole.isel({dims[0]: 0}, drop=True) * 10
    target = whole.transpose(*draw(st.permutations(dims))) * 3
    chunks = {dim: draw(st.integers(1, n)) for dim, n in sizes.items()}
    other_chunks = {dim: draw(st.integers(1, n)) for dim, n in sizes.items()}
    return xr.Dataset({"a": whole, "b": some}), target, chunks, other_chunks


@given(grids(), st.booleans())
def test_rows_and_targets_belong_together_and_results_return_to_their_place(grid, lazy):
    dataset, target, chunks, other_chunks = grid
    if lazy:
        dataset, target = dataset.chunk(chunks), target.chunk(other_chunks)
    samples, X = features_of(dataset)
    y = samples.column("y", target)
    a = samples.labelled(X[:, 0] if lazy else X.values[:, 0], "predict", "output", None)
    both = samples.labelled(X if lazy else X.values, "transform", "feature", ["a", "b"])
    if lazy:
        assert a.chunks == dataset["a"].chunks
        assert both.chunks[:-1] == dataset["a"].chunks
    X, y, a, both, dataset = dask.compute(X, y, a, both, dataset, scheduler="sync")
    values = np.asarray(X)
    assert values.shape == (target.size, 2)
    np.testing.assert_array_equal(np.sort(values[:, 0]), np.arange(target.size))
    np.testing.assert_array_equal(y, 3 * values[:, 0])
    xr.testing.assert_identical(a, dataset["a"].rename("predict"))
    repeated = dataset["b"].broadcast_like(dataset["a"]).transpose(*dataset["a"].dims)
    xr.testing.assert_equal(both.sel(feature="b", drop=True), repeated)


@given(grids())
def test_a_dataset_and_its_array_have_the_same_rows(grid):
    dataset, _, chunks, _ = grid
    lazy = dataset.chunk(chunks)
    _, of_dataset = features_of(lazy)
    samples, of_array = features_of(lazy.to_dataarray().transpose("variable", *lazy["a"].dims))
    assert of_array.feature_names == of_dataset.feature_names == ("a", "b")
    assert samples.dims == lazy["a"].dims
    np.testing.assert_array_equal(*dask.compute(of_array, of_dataset, scheduler="sync"))


def test_no_block_is_cut_or_joined():
    grid = xr.Dataset({"a": (DIMS, np.zeros((4, 6, 5)))}).chunk({"time": 4, "y": 2, "x": 5})
    _, X = features_of(grid)
    assert X.chunks == ((40, 40, 40), (1,))


def test_a_file_without_dask_is_read_in_whole_chunks(tmp_path):
    stored = xr.Dataset({"a": (("row", "column"), np.arange(24.0).reshape(6, 4))})
    stored.to_zarr(tmp_path / "grid", encoding={"a": {"chunks": (4, 2)}}, consolidated=False)
    opened = xr.open_zarr(tmp_path / "grid", chunks=None, consolidated=False)
    samples, X = features_of(opened)
    assert samples.chunks == ((6,), (4,))
    assert not opened["a"].variable._in_memory
    np.testing.assert_array_equal(np.sort(X.compute()[:, 0]), np.arange(24))


def test_a_large_file_without_dask_has_blocks_of_its_chunks(tmp_path, monkeypatch):
    from dlbd_estimators.blocks import xarray_variables

    monkeypatch.setattr(xarray_variables, "_BLOCK_NBYTES", 8 * 30)
    stored = xr.Dataset({"a": (("row", "column"), np.zeros((60, 5)))})
    stored.to_zarr(tmp_path / "grid", encoding={"a": {"chunks": (2, 5)}}, consolidated=False)
    samples, _ = features_of(xr.open_zarr(tmp_path / "grid", chunks=None, consolidated=False))
    assert set(samples.chunks[0]) == {6}  # three whole chunks


def test_columns_in_memory_keep_their_types():
    mixed = xr.Dataset({"n": ("row", [1, 2]), "s": ("row", np.array(["a", "b"], dtype=object))})
    _, X = features_of(mixed)
    assert isinstance(X, pd.DataFrame)
    assert X["n"].dtype.kind == "i"


def test_strings_and_numbers_are_not_converted_to_strings():
    mixed = xr.Dataset({"n": ("row", [1, 2]), "s": ("row", np.array(["a", "b"], dtype=object))})
    _, X = features_of(mixed.chunk())
    assert X.compute().tolist() == [[1, "a"], [2, "b"]]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (xr.DataArray(np.zeros((2, 3, 4)), dims=DIMS), r"none of them is named 'feature'.*rename"),
        (xr.DataArray(np.zeros(2), dims="time"), r"expand_dims\('feature'\)"),
        (xr.DataArray(np.zeros(2), dims="feature"), "features but no samples"),
        (xr.DataArray(np.zeros((2, 3)), dims=("variable", "feature")), "Rename one of them"),
        (xr.Dataset(), "without variables"),
        (xr.Dataset({"a": 1.0}), "single numbers"),
        (xr.Dataset({"X": (("row", "feature"), np.ones((2, 3)))}), r"alone: dataset\['X'\]"),
        (xr.Dataset({"a": ("u", [1.0]), "b": ("v", [1.0])}), "'b' has .*Choose variables"),
    ],
)
def test_ambiguous_features_are_errors_with_advice(X, message):
    with pytest.raises(ValueError, match=message):
        features_of(X)


def test_dates_are_refused_by_the_name_of_their_variable():
    dates = xr.Dataset({"day": ("row", pd.to_datetime(["2020-01-01", "2020-01-02"]))})
    with pytest.raises(TypeError, match="'day' of X has dtype datetime64"):
        features_of(dates)


GRID = xr.Dataset({"a": (("y", "x"), np.ones((2, 3)))}, coords={"x": [1, 2, 3]})


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (xr.DataArray(np.ones(2), dims="y"), ValueError, "It needs all sample dimensions"),
        (GRID["a"].isel(x=slice(2)), LengthMismatch, "'x' has length 3, but length 2 in y"),
        (GRID["a"].assign_coords(x=[2, 3, 4]), ValueError, "other coordinates along 'x'"),
        (np.ones(5), LengthMismatch, r"'y' \(2\), 'x' \(3\), but y has the shape \(5,\)"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_targets_of_other_rows_are_refused(y, error, message, lazy):
    samples, _ = features_of(GRID.chunk() if lazy else GRID)
    with pytest.raises(error, match=message):
        samples.column("y", y)


def test_targets_without_labels_are_taken_in_c_order():
    numbers = np.arange(6.0).reshape(2, 3)
    grid = xr.Dataset({"a": (("y", "x"), numbers)}).chunk({"x": 2})
    samples, X = features_of(grid)
    for y in (numbers, numbers.ravel(), pd.Series(numbers.ravel())):
        np.testing.assert_array_equal(samples.column("y", y).compute(), X[:, 0].compute())


def test_only_named_dimensions_are_columns_of_a_metric():
    truth = xr.DataArray(np.arange(6).reshape(2, 3), dims=("y", "x"))
    scores = xr.DataArray(np.ones((3, 2, 4)), dims=("x", "y", "classes"))
    rows = rows_together({"y_true": truth, "y_proba": scores, "sample_weight": None})
    assert rows["y_true"].shape == (6,)
    assert rows["y_proba"].shape == (6, 4)
    assert rows["sample_weight"] is None
