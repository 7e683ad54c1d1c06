"""A row repeated is combined as NumPy's broadcasting combines it, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels import repeated_row
from dlbd_estimators.kernels.repeated_row import RepeatedRow
from tests.strategies import random_generators


@given(
    random_generators(),
    st.integers(0, 40),
    st.integers(1, 7),
    st.integers(1, 64),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([np.subtract, np.multiply, np.add]),
    st.sampled_from([slice(None), slice(None, None, 3)]),
    st.booleans(),
)
def test_it_is_broadcasting(rng, n, p, repeated, dtype, function, strided, in_place):
    tile, row = rng.standard_normal((n, p)).astype(dtype), rng.standard_normal(p)
    rows = tile[strided]
    expected = function(rows, row.astype(dtype))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_row, "_REPEATED", repeated)
        out = rows if in_place and strided == slice(None) else np.full(rows.shape, np.nan, dtype)
        RepeatedRow(row, dtype).combine(function, rows, out)
    np.testing.assert_array_equal(out, expected)
