"""The total weight of rows, and the features among them that are not finite."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.finite_rows import FiniteRowsKernel
from dlbd_estimators.kernels.kernel import Block
from tests.strategies import cuts, features, pieces, weights

kernel = FiniteRowsKernel()


@given(st.data())
def test_one_bad_value_anywhere_is_found_and_all_weights_are_summed(data):
    n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 5))
    block = Block(data.draw(features(n, p)), np.zeros(n), data.draw(weights(n)))
    parts = [kernel(part, None) for part in pieces(block, data.draw(cuts(n)))]
    expected = n if block.weight is None else block.weight.sum()
    assert reduce(kernel.combine, parts) == pytest.approx(expected)
    assert all(kernel.is_finite(part) for part in parts)
    place = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, p - 1))
    block.X[place] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    assert not kernel.is_finite(kernel(block, None))


def test_a_bad_value_in_a_later_tile_is_found():
    X = np.zeros((30_000, 3), np.float32)
    X[-1, 2] = np.nan
    assert not kernel.is_finite(kernel(Block(X, np.zeros(len(X))), None))
