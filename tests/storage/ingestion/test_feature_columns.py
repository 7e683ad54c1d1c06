"""Rows of X made of raw columns: the same for any number of rows in a tile."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.ingestion import feature_columns
from storage.ingestion.feature_columns import Indicators, Values, feature_rows


@st.composite
def raw_columns(draw):
    """Columns for X, and the same columns written out in full."""
    n_rows = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    columns, whole = [], [np.empty((n_rows, 0))]
    for _ in range(draw(st.integers(1, 4))):
        n_columns = draw(st.integers(1, 3))
        if draw(st.booleans()):
            numbers = rng.normal(size=(n_rows, n_columns))
            columns.append(Values(numbers))
            whole.append(numbers)
        else:
            positions = rng.integers(Indicators.MISSING, n_columns, n_rows)
            columns.append(Indicators(positions, n_columns))
            ones = np.equal.outer(positions, np.arange(n_columns)).astype(float)
            ones[positions == Indicators.MISSING] = np.nan
            whole.append(ones)
    return columns, np.hstack(whole)


@given(raw_columns(), st.integers(1, 20))
def test_rows_are_those_of_all_columns_for_any_tile(drawn, tile_values):
    columns, expected = drawn
    before = feature_columns._TILE_VALUES
    try:
        feature_columns._TILE_VALUES = tile_values
        X = feature_rows(columns, 0, len(expected))
    finally:
        feature_columns._TILE_VALUES = before
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X, expected)
    out = np.full_like(expected, -1)
    assert feature_rows(columns, 0, len(expected), out=out) is out
    np.testing.assert_array_equal(out, expected)
