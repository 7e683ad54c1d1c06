"""Columns of very many categories: blocks are cut again, or refused before they are made."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from dlbd_estimators import LogisticRegression
from dlbd_estimators.exceptions import BlockTooLarge
from dlbd_estimators.preprocessing import OneHotEncoder, widening


def codes(n_rows, n_categories, rng):
    found = rng.integers(0, n_categories, n_rows)
    found[:n_categories] = np.arange(n_categories)
    return found


def test_blocks_are_cut_again_by_what_they_become(rng, monkeypatch):
    monkeypatch.setattr(widening, "_LARGEST", 2**16)
    monkeypatch.setattr(widening, "_CUT", 2**14)
    X = da.from_array(codes(2000, 50, rng)[:, None], chunks=(500, 1))
    encoder = OneHotEncoder().fit(X)
    wide = encoder.transform(X)
    assert max(wide.chunks[0]) * 50 * 8 <= 2**14
    expected = OneHotEncoder(sparse_output=False).fit_transform(X.compute())
    np.testing.assert_array_equal(wide.compute(), expected)


def test_blocks_small_enough_stay_as_they_are(rng):
    X = da.from_array(codes(2000, 50, rng)[:, None], chunks=(500, 1))
    assert OneHotEncoder().fit(X).transform(X).chunks[0] == (500,) * 4


def test_a_pipeline_with_cut_blocks_fits(rng, monkeypatch):
    monkeypatch.setattr(widening, "_LARGEST", 2**14)
    monkeypatch.setattr(widening, "_CUT", 2**13)
    values, y = codes(1000, 20, rng), rng.integers(0, 2, 1000)
    X = da.from_array(values[:, None], chunks=(400, 1))
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    model.fit(X, da.from_array(y, chunks=300))
    dense = OneHotEncoder(sparse_output=False).fit_transform(values[:, None])
    expected = LogisticRegression().fit(dense, y)
    np.testing.assert_allclose(model[-1].coef_, expected.coef_, atol=1e-7)


def test_blocks_of_unknown_length_that_do_not_fit_are_refused(rng):
    values = codes(40_000, 4000, rng)
    X = dd.from_pandas(pd.DataFrame({"user": values}), npartitions=2)
    y = da.from_array(values % 2, chunks=20_000)
    encoder = OneHotEncoder().fit(X)
    with (
        dask.config.set({"dlbd-estimators.memory": "500MB"}),
        pytest.raises(BlockTooLarge, match=r"20000 rows becomes 610 MiB.*max_categories"),
    ):
        LogisticRegression().fit(encoder.transform(X), y)
