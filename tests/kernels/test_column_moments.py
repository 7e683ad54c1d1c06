"""Means and squared deviations of columns: NumPy's, however rows are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels import column_moments
from dlbd_estimators.kernels.column_moments import ColumnMomentsKernel
from dlbd_estimators.kernels.kernel import Block


@given(st.data())
def test_column_moments_are_numpys_however_rows_are_cut(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(2, 40))
    X = rng.normal(size=(n, 3))
    X[:, 1] += 1e8
    X[:, 2] = 0.1
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    size, kernel = data.draw(st.integers(1, n)), ColumnMomentsKernel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_moments, "tile_rows", lambda _: size)
        parts = [kernel(Block(each, np.zeros(len(each)), None)) for each in np.split(X, cuts)]
    whole = parts[0]
    for each in parts[1:]:
        whole = kernel.combine(whole, each)
    assert whole.n_rows == n
    np.testing.assert_allclose(whole.mean, X.mean(axis=0), rtol=1e-14, atol=1e-14)
    expected = ((X - X.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(whole.squares, expected, rtol=1e-6, atol=1e-14)
    assert kernel.is_finite(whole)


def test_a_missing_value_is_not_finite():
    X = np.array([[1.0], [np.nan]])
    assert not ColumnMomentsKernel().is_finite(ColumnMomentsKernel()(Block(X, np.zeros(2), None)))
