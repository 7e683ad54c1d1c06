"""describe: pandas' figures of all rows, by one pass over the blocks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from storage import blocks
from storage.summary import Summary, summary_of, summary_of_tiles, tiles_of_column

FIGURES = ["count", "mean", "std", "min", "max"]


@st.composite
def tables(draw):
    n, p = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Far from zero: sums of squares would lose all digits of the deviations.
    X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-3, 4, p) + draw(
        st.sampled_from([0.0, -3e5, 1e9])
    )
    X[rng.random((n, p)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    return X


@settings(max_examples=15)
@given(X=tables(), block=st.integers(1, 20))
def test_the_same_as_pandas_for_any_blocks(X, block):
    nbytes = block * 8 * X.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        data = storage.create_dataset(
            Path(folder) / "d", X, np.arange(len(X)), chunk_nbytes=nbytes, block_nbytes=nbytes * 2
        )
        found = data.describe()
    expected = pd.DataFrame(X, columns=data.feature_names).assign(y=np.arange(len(X)))
    expected = expected.describe().loc[FIGURES]
    scale = expected.loc[["min", "max"]].abs().max().to_numpy()
    assert list(found.index) == FIGURES
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_array_equal(found.isna(), expected.isna())
    exact = ["count", "min", "max"]
    np.testing.assert_array_equal(found.loc[exact], expected.loc[exact])
    error = np.nan_to_num(np.abs(found - expected).to_numpy())
    assert np.all(error <= 1e-14 * np.nan_to_num(scale) + 1e-12 * np.nan_to_num(expected.abs()))


@given(values=tables(), cut=st.integers(0, 60))
def test_two_parts_joined_are_the_whole(values, cut):
    cut = min(cut, len(values) - 1)
    whole = summary_of(values)
    if cut:
        joined = summary_of(values[:cut]).joined(summary_of(values[cut:]))
        np.testing.assert_array_equal(joined.count, whole.count)
        np.testing.assert_array_equal(joined.low, whole.low)
        some = whole.count > 0
        np.testing.assert_allclose(joined.mean[some], whole.mean[some], rtol=1e-12, atol=1e-12)
    alone = summary_of(np.full((1, values.shape[1]), np.nan)).joined(whole)
    np.testing.assert_array_equal(alone.mean, whole.mean)
    np.testing.assert_array_equal(alone.squares, whole.squares)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n", [1, 2**15, 70_000])
def test_columns_apart_have_the_bits_of_blocks_of_one_column(n, missing):
    rng = np.random.default_rng(0)
    columns = [rng.standard_normal(n), 1e9 + rng.standard_normal(n), np.full(n, np.inf)]
    if missing:
        columns[1][rng.random(n) < 0.3] = np.nan
        columns.append(np.full(n, np.nan))
    found = summary_of_tiles([*map(tiles_of_column, columns)])
    assert isinstance(found, Summary)
    for place, column in enumerate(columns):
        expected = summary_of(column[:, None])
        for name, values in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name)[place], values[0], err_msg=name)


def test_long_blocks_are_taken_in_tiles():
    values = np.random.default_rng(0).integers(0, 255, (200_000, 2)).astype(np.uint8)
    found = summary_of(values)
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.squares / len(values), values.var(axis=0), rtol=1e-12)


def test_weights_and_classes(tmp_path, monkeypatch):
    codes, weights = np.arange(20) % 2, np.arange(20.0)
    read = []
    real = blocks.read_chunks

    def read_chunks(store, layout, chunks, *more):
        read.extend(layout.name for _ in chunks)
        real(store, layout, chunks, *more)

    monkeypatch.setattr(blocks, "read_chunks", read_chunks)
    data = storage.create_dataset(
        tmp_path / "d", np.eye(20), codes, weights, classes=["no", "yes"], chunk_nbytes=160
    )
    found = data.describe()
    assert list(found.columns) == [*data.feature_names, "sample_weight"]
    assert found["sample_weight"]["mean"] == 9.5
    # Once each, and none of y.
    assert sorted(read) == ["X"] * data.layouts["X"].n_chunks + ["sample_weight"]
    some = storage.open_dataset(data.path, columns=[3]).describe()
    assert list(some.columns) == ["x3", "sample_weight"]


def test_infinite_values_are_what_pandas_says(tmp_path):
    X = np.array([[1.0, np.inf, np.inf], [2.0, 0.0, -np.inf], [4.0, 1.0, 0.0]])
    data = storage.create_dataset(tmp_path / "d", X, np.zeros(3), chunk_nbytes=24, block_nbytes=40)
    found = data.describe()
    np.testing.assert_array_equal(found["x1"], [3, np.inf, np.nan, 0, np.inf])
    np.testing.assert_array_equal(found["x2"], [3, np.nan, np.nan, -np.inf, np.inf])
    assert found["x0"]["std"] == pytest.approx(np.std([1, 2, 4], ddof=1), rel=1e-14)


@settings(max_examples=15)
@given(X=tables(), block=st.integers(1, 20), shares=st.lists(st.floats(0, 1), max_size=3))
def test_quantiles_of_few_rows_are_exact_for_any_blocks(X, block, shares):
    nbytes = block * 8 * X.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        data = storage.create_dataset(
            Path(folder) / "d", X, np.arange(len(X)), chunk_nbytes=nbytes, block_nbytes=nbytes
        )
        found = data.describe(percentiles=shares)
    names = [f"{100 * share:g}%" for share in sorted(set(shares))]
    assert list(found.index) == [*FIGURES[:4], *names, "max"]
    assert found.attrs.get("rank_error", 0) == 0
    for column, name in enumerate(data.feature_names):
        values = X[~np.isnan(X[:, column]), column]
        expected = (
            np.quantile(values, sorted(set(shares)), method="inverted_cdf")
            if len(values)
            else np.full(len(names), np.nan)
        )
        np.testing.assert_array_equal(found[name].iloc[4:-1], expected)


def test_quantiles_of_many_blocks_are_within_the_bound(tmp_path):
    X = np.random.default_rng(0).lognormal(sigma=2, size=(40_000, 2)).astype(np.float32)
    nbytes = X.nbytes // 20
    data = storage.create_dataset(
        tmp_path / "d", X, X[:, 0], chunk_nbytes=nbytes, block_nbytes=nbytes
    )
    shares = [0.01, 0.5, 0.99]
    found = data.describe(shares)
    assert 0 < found.attrs["rank_error"] <= 3 / 256
    ranks = [np.searchsorted(np.sort(X[:, 0]), found.loc[name, "x0"]) / len(X)
             for name in ("1%", "50%", "99%")]  # fmt: skip
    np.testing.assert_allclose(ranks, shares, atol=found.attrs["rank_error"] + 1e-4)


@pytest.mark.parametrize(("share", "error"), [(50, ValueError), (-0.1, ValueError),
                                              (np.nan, ValueError), ("1%", TypeError)])  # fmt: skip
def test_a_percentile_that_is_no_share_is_refused(tmp_path, share, error):
    data = storage.create_dataset(tmp_path / "d", np.eye(3), np.arange(3))
    with pytest.raises(error, match="numbers from 0 to 1"):
        data.describe([share])
