"""Small chunks of Zarr arrays are joined to larger blocks, with the same rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from dlbd_estimators import LogisticRegression
from dlbd_estimators.blocks import joined_chunks
from dlbd_estimators.blocks.dask_blocks import from_dask

N_ROWS, LENGTH = 1_297, 10


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, 3)).astype("f4")
    y = (X[:, 0] + rng.standard_normal(N_ROWS) > 0).astype("i1")
    root = zarr.open_group(tmp_path_factory.mktemp("zarr") / "small.zarr", mode="w")
    for name, values in {"X": X, "y": y, "weight": np.ones(N_ROWS)}.items():
        root.create_array(name, data=values, chunks=(LENGTH, *values.shape[1:]))
    return root


def opened(stored, **options):
    return [da.from_zarr(stored[name], **options) for name in ("X", "y", "weight")]


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    monkeypatch.setattr(joined_chunks, "_FEWEST_BLOCKS", 20)


def rows_of(blocks):
    read = [blocks.load(index) for index in range(blocks.n_blocks)]
    columns = zip(*((block.X, block.y, block.weight) for block in read), strict=True)
    return [np.concatenate(column) for column in columns]


@pytest.mark.parametrize("inline", [False, True])
def test_chunks_are_joined(stored, inline):
    blocks = from_dask(*opened(stored, inline_array=inline))
    assert blocks.n_blocks == 22  # 130 // 20 = 6 chunks in a block
    assert blocks.sizes == (*[60] * 21, 37)
    for found, name in zip(rows_of(blocks), ("X", "y", "weight"), strict=True):
        np.testing.assert_array_equal(found, stored[name][:])


def test_a_block_is_limited_in_size(stored, monkeypatch):
    monkeypatch.setattr(joined_chunks, "_JOINED_NBYTES", 3 * LENGTH * 3 * 4)
    assert from_dask(*opened(stored)).sizes[0] == 3 * LENGTH


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y, weight: (X * 2, y, weight),
        lambda X, y, weight: (X[:, :2], y, weight),
        lambda X, y, weight: (X, y + 1, weight),
        lambda X, y, weight: (X, y.rechunk(20), weight),
        lambda X, y, weight: (X.rechunk((-1, 1)), y, weight),
        lambda X, y, weight: (X, y, 1.0 * weight),
        lambda X, y, weight: (X, da.from_array(y.compute(), chunks=LENGTH), weight),
    ],
    ids=[
        "computed",
        "sliced",
        "computed y",
        "other chunks",
        "columns",
        "computed weight",
        "in memory",
    ],
)
def test_other_arrays_are_left_alone(stored, change):
    arrays = dict(zip(("X", "y", "weight"), change(*opened(stored)), strict=True))
    assert joined_chunks.with_joined_chunks(arrays) is arrays


@pytest.mark.parametrize("options", [{"lock": True}, {"asarray": False}, {"chunks": (20, 2)}])
def test_special_ways_of_reading_are_left_alone(stored, options):
    X = da.from_array(stored["X"], **{"chunks": (LENGTH, 3), **options})
    arrays = {"X": X}
    assert joined_chunks.with_joined_chunks(arrays) is arrays


def test_few_chunks_are_left_alone(stored, monkeypatch):
    monkeypatch.setattr(joined_chunks, "_FEWEST_BLOCKS", 66)
    arrays = {"X": opened(stored)[0]}
    assert joined_chunks.with_joined_chunks(arrays) is arrays


@pytest.mark.parametrize("size", [0, np.nan])
def test_no_rows_and_unknown_rows_are_left_alone(size):
    X = da.zeros((0, 3)) if size == 0 else da.ones((40, 3), chunks=(1, 3))[da.ones(40) > 0]
    arrays = {"X": X}
    assert joined_chunks.with_joined_chunks(arrays) is arrays


def test_a_fit_finds_the_same_model(stored):
    X, y, weight = opened(stored)
    joined = LogisticRegression(tol=1e-10).fit(X, y, sample_weight=weight)
    apart = LogisticRegression(tol=1e-10).fit(X + 0, y, sample_weight=weight)
    np.testing.assert_allclose(joined.coef_, apart.coef_, rtol=1e-8)
    # Predictions keep the chunks of their input.
    assert joined.predict(X).chunks == (X.chunks[0],)
