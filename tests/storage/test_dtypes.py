"""X keeps its dtype, integers to the last digit; frames where no value is missing."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import storage
from dlbd_estimators import Ridge

N = 40
SIGNED = ("int8", "int16", "int32", "int64")
DTYPES = ("bool", *SIGNED, *(f"u{each}" for each in SIGNED), "float16")


def stored(tmp_path, X, **options):
    storage.create_dataset(tmp_path / "d", X, np.zeros(len(X)), **options)
    return storage.open_dataset(tmp_path / "d")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_every_size(tmp_path, dtype, lazy):
    kind = np.dtype(dtype).kind
    ends = [0, 1] if kind in "bf" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    X = np.array([ends, ends[::-1]] * (N // 2), dtype=dtype)
    data = stored(tmp_path, da.from_array(X, chunks=(7, 1)) if lazy else X, chunk_nbytes=64)
    assert data.dtype == data.X.dtype == X.dtype
    assert data.X.compute().tobytes() == X.tobytes()
    assert data.layouts["X"].nbytes == X.nbytes
    data.verify()


@pytest.mark.parametrize("lazy", [False, True])
def test_frames_of_integers(tmp_path, lazy):
    frame = pd.DataFrame({"a": np.arange(N), "b": np.arange(N) + 2**53}).astype(
        {"a": "uint8", "b": "int64"}
    )
    given = dd.from_pandas(frame, npartitions=3) if lazy else frame
    data = storage.create_dataset(tmp_path / "d", given, np.zeros(N))
    assert data.X.dtype == np.int64
    np.testing.assert_array_equal(data.X.compute(), frame.to_numpy())
    data = storage.create_dataset(tmp_path / "e", given[["a"]], np.zeros(N))
    assert data.X.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["UInt8", "uint8[pyarrow]", "boolean"])
def test_nullable_integers_are_floats_where_a_value_may_be_missing(tmp_path, dtype):
    full = pd.DataFrame({"a": pd.Series([0, 1] * (N // 2), dtype=dtype)})
    gaps = full.copy()
    gaps.loc[3, "a"] = pd.NA
    kept = np.bool_ if dtype == "boolean" else np.uint8
    assert storage.create_dataset(tmp_path / "a", full, np.zeros(N)).X.dtype == kept
    for name, given in (("b", gaps), ("c", dd.from_pandas(gaps, npartitions=2))):
        data = storage.create_dataset(tmp_path / name, given, np.zeros(N))
        assert data.X.dtype == np.float64
        assert np.flatnonzero(np.isnan(data.X[:, 0].compute())).tolist() == [3]
    # Lazy: nothing was read that could tell.
    lazy = dd.from_pandas(full, npartitions=2)
    assert storage.create_dataset(tmp_path / "e", lazy, np.zeros(N)).X.dtype == np.float64


def test_a_gap_in_a_partition_of_promised_integers_is_named(tmp_path):
    frame = pd.DataFrame({"a": np.arange(6), "b": 1})
    second = frame.set_index(frame.index + 6).astype({"a": "float64"})
    second.iloc[2, 0] = np.nan
    ddf = dd.from_map(lambda part: part, [frame, second], meta=frame.iloc[:0])
    with pytest.raises(ValueError, match=r"'a' in partition 1 of X has a missing value \(index 8"):
        storage.create_dataset(tmp_path / "d", ddf, np.zeros(12))
    assert not (tmp_path / "d").exists()
    data = storage.create_dataset(tmp_path / "d", ddf.astype({"a": "float64"}), np.zeros(12))
    assert np.isnan(data.X.compute()).sum() == 1


def test_blocks_of_small_integers_are_no_larger_once_they_are_floats(tmp_path):
    X = np.zeros((4_096, 8), dtype=np.uint8)
    data = stored(tmp_path, X, chunk_nbytes=2**10, block_nbytes=2**14)
    assert max(data.X.chunks[0]) * 8 * 8 <= 2**14


def test_a_fit_on_bytes_is_the_fit_on_floats(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (N, 3), dtype=np.uint8)
    y = X @ [1.0, 2.0, -1.0] + rng.standard_normal(N)
    data = storage.create_dataset(tmp_path / "d", X, y, chunk_nbytes=24, block_nbytes=500)
    assert data.X.numblocks[0] > 1
    fitted, expected = Ridge().fit(data.X, data.y), Ridge().fit(X.astype(float), y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-10)
