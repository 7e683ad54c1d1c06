"""Consecutive steps on a block: the bits of one after the other, and nobody's block changed."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.blocks.row_functions import Steps, fuse_with_previous
from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.metrics import accuracy_score
from dlbd_estimators.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    SimpleImputer,
    StandardScaler,
)
from dlbd_estimators.preprocessing.fill import FillRows
from dlbd_estimators.preprocessing.numeric import FloatRows
from tests.strategies import random_generators

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(feature_range=(-2, 3)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
]


def block_of(rng, n, p, dtype, share=0.2):
    X = (rng.normal(size=(n, p)) * 10.0 ** rng.integers(-3, 4, p)).astype(dtype)
    X[rng.random(X.shape) < share] = np.nan
    X[0] = 1.0  # a value in each column
    return X


def fill_of(X):
    values = np.nanmedian(X, axis=0).astype(X.dtype)
    return FillRows(np.nan, X.dtype, np.arange(X.shape[1]), values, np.array([], int))


@given(
    random_generators(),
    st.integers(1, 40),
    st.integers(1, 3),
    st.sampled_from(["float16", "float32", "float64"]),
    st.booleans(),
    st.lists(st.sampled_from(SCALERS), min_size=1, max_size=3),
    st.integers(1, 9),
    st.integers(1, 12),
    st.sampled_from("CF"),
    st.sampled_from([0.0, 0.2, 0.9]),
)
def test_steps_in_a_row_give_the_bits_of_one_after_the_other(
    rng, n, p, dtype, fills, scalers, tile_rows, length, order, share
):
    X = np.asarray(block_of(rng, n, p, dtype, share), order=order)
    functions = [fill_of(X)] if fills else []
    for scaler in scalers:
        fitted = type(scaler)(**scaler.get_params()).fit(np.abs(X) + np.ones(p, dtype))
        functions.append(FloatRows(fitted, "transform"))
    expected = X
    for function in functions:
        expected = function(expected)
    before = X.copy()
    steps = Steps(functions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "dlbd_estimators.blocks.row_functions._TILE_NBYTES", tile_rows * p * X.itemsize
        )
        patch.setattr("dlbd_estimators.preprocessing.narrow_rows._LENGTH", length)
        np.testing.assert_array_equal(steps(X), expected)
        assert steps(X).dtype == expected.dtype
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(steps(X, overwrite=True), expected)


def test_infinity_is_named_by_its_row_in_the_block():
    X = block_of(np.random.default_rng(0), 100_000, 3, "float32")
    X[98_765, 1] = np.inf
    fitted = StandardScaler().fit(X[:100])
    for functions in ([fill_of(X[:100])], [FloatRows(fitted, "transform")]):
        for overwrite in (False, True):
            with pytest.raises(NonFiniteValues, match="row 98765 of the block, column 1"):
                Steps(functions)(X.copy(), overwrite=overwrite)


def test_infinity_that_a_step_makes_is_found_by_the_next():
    X = block_of(np.random.default_rng(0), 50, 2, "float32")
    filled = FillRows(np.nan, X.dtype, np.arange(2), np.full(2, np.inf, X.dtype), np.array([], int))
    fitted = StandardScaler(with_mean=False).fit(np.full((2, 2), 1e-30) * [[1], [2]])
    scale = FloatRows(fitted, "transform")
    row = np.flatnonzero(np.isnan(X).any(axis=1))[0]
    with pytest.raises(NonFiniteValues, match=f"infinity at row {row} of the block"):
        Steps([filled, scale])(X)
    with np.errstate(over="ignore"), pytest.raises(NonFiniteValues, match="infinity at row 0"):
        Steps([fill_of(X), scale, scale])(np.full_like(X, 1e20))


def rows(n=4_000, p=3):
    X = block_of(np.random.default_rng(0), n, p, "float64", share=0.05)
    return X, (np.nan_to_num(X) @ np.arange(1, p + 1) > 0).astype(float)


def pipeline(X):
    filled = SimpleImputer().fit_transform(X)
    return MinMaxScaler().fit_transform(StandardScaler().fit_transform(filled))


def test_steps_of_a_pipeline_are_one_task():
    X, _ = rows()
    result = pipeline(da.from_array(X, chunks=(500, 3)))
    before, checked = fuse_with_previous(result, abs)
    assert before.name.startswith("array-")
    assert len(checked.function.functions) == 4
    # What is between them is an array of its own still.
    filled = SimpleImputer().fit_transform(da.from_array(X, chunks=(500, 3)))
    scaled = StandardScaler().fit_transform(filled)
    np.testing.assert_allclose(scaled.compute().mean(axis=0), 0.0, atol=1e-12)
    assert not np.isnan(filled.compute()).any()


@pytest.mark.parametrize("kind", ["kept", "memory", "persisted", "zarr", "view", "shared with y"])
def test_a_block_that_others_hold_stays_as_it_was(kind, tmp_path):
    X, y = rows()
    held = [X[start : start + 500].copy() for start in range(0, len(X), 500)]
    match kind:
        case "kept":  # by the user's function
            lazy = da.map_blocks(
                lambda block_id: held[block_id[0]],
                chunks=((500,) * 8, (3,)),
                dtype=float,
                meta=np.empty((0, 3)),
                name=f"kept-{id(held)}",
            )
        case "view":
            lazy = da.map_blocks(
                lambda block_id: held[block_id[0]][:, :],
                chunks=((500,) * 8, (3,)),
                dtype=float,
                meta=np.empty((0, 3)),
                name=f"view-{id(held)}",
            )
        case "zarr":
            stored = zarr.create_array(tmp_path / "X.zarr", data=X, chunks=(500, 3))
            lazy = da.from_zarr(stored)
        case _:
            lazy = da.from_array(X, chunks=(500, 3))
    lazy = lazy.persist(scheduler="threads") if kind == "persisted" else lazy
    target = da.nan_to_num(lazy)[:, 0] if kind == "shared with y" else da.from_array(y, chunks=500)
    expected_X = pipeline(da.from_array(X, chunks=len(X))).compute()
    expected_y = np.nan_to_num(X)[:, 0] if kind == "shared with y" else y
    expected = Ridge().fit(expected_X, expected_y)
    for _ in range(2):  # the second time reads what the first has left
        model = Ridge().fit(pipeline(lazy), target)
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_array_equal(np.concatenate(held), X)
    np.testing.assert_array_equal(lazy.compute(), X)


def test_a_block_that_nobody_else_holds_is_overwritten(tmp_path, monkeypatch):
    X, y = rows()
    stored = da.from_zarr(zarr.create_array(tmp_path / "X.zarr", data=X, chunks=(500, 3)))
    transformed = pipeline(stored)
    target = da.from_array(y, chunks=500)
    told = []
    run = Steps.__call__

    def spy(self, block, *, overwrite=False):
        told.append(overwrite)
        return run(self, block, overwrite=overwrite)

    monkeypatch.setattr(Steps, "__call__", spy)
    Ridge().fit(transformed, target)
    assert len(told) >= 8
    assert all(told)
    told.clear()
    # A pass of statistics reads as a fit does.
    before = StandardScaler().fit(transformed)
    assert told == [True] * 8
    np.testing.assert_array_equal(before.mean_, StandardScaler().fit(transformed.persist()).mean_)
    told.clear()
    Ridge().fit(pipeline(da.from_array(X, chunks=(500, 3))), target)
    assert len(told) >= 8
    assert not any(told)


def test_a_pipeline_out_of_core_gives_the_bits_of_its_steps(tmp_path):
    X, y = rows()
    stored = da.from_zarr(zarr.create_array(tmp_path / "X.zarr", data=X, chunks=(500, 3)))
    transformed = pipeline(stored)
    model = LogisticRegression().fit(transformed, da.from_array(y, chunks=500))
    apart = da.from_array(transformed.compute(), chunks=(500, 3))
    again = LogisticRegression().fit(apart, da.from_array(y, chunks=500))
    np.testing.assert_array_equal(model.coef_, again.coef_)


def test_rows_that_a_reduction_was_taken_from_are_read_in_steps():
    def made(number):
        X, y = rows()
        part = slice(500 * number, 500 * (number + 1))
        return pd.DataFrame(np.nan_to_num(X)[part], columns=list("abc")).assign(y=y[part])

    frame = dd.from_map(made, range(4), meta=made(0).iloc[:0])
    frame = frame.assign(c=frame.c - frame.c.mean())
    X, y = frame[list("abc")], frame["y"]
    model = LogisticRegression().fit(X, y)
    # Of joined tasks, one is given a list of others.
    score = accuracy_score(y, model.predict(X))
    assert score == np.mean(y.compute() == model.predict(X.compute()))
