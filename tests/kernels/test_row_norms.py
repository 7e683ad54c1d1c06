"""The largest norm of a row is a bound: never below the norm that exact arithmetic gives."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.row_norms import LargestNorm


@st.composite
def rows_and_ellipsoids(draw):
    dtype = draw(st.sampled_from(["float32", "float64"]))
    n, p = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = 10.0 ** rng.uniform(-12, 12, p)
    rows = (rng.standard_normal((n, p)) * spread).astype(dtype)
    offset, centre = (rng.standard_normal(p) * spread for _ in range(2))
    return rows, offset, centre, 1.0 / spread**2


def exact(rows, offset, centre, weights):
    """Return the largest norm in rational numbers."""
    return max(
        sum(
            Fraction(c) * (Fraction(float(r)) + Fraction(o) - Fraction(m)) ** 2
            for r, o, m, c in zip(row, offset, centre, weights, strict=True)
        )
        for row in rows
    )


@given(rows_and_ellipsoids())
def test_the_norm_is_never_too_small_and_hardly_too_large(case):
    rows, offset, centre, weights = case
    found = LargestNorm((centre, weights), offset, rows.dtype)(rows)
    expected = exact(rows, offset, centre, weights)
    assert Fraction(found) >= expected * (1 - Fraction(1, 10**15))  # its last square is rounded
    # Where a row and the shift cancel, the rounding is relative to the shift.
    shift = np.sqrt(sum(weights * (offset - centre) ** 2))
    eps = float(np.finfo(rows.dtype).eps)
    assert np.sqrt(found) <= np.sqrt(float(expected)) * (1 + 20 * eps) + 8 * eps * shift


def test_weights_beyond_the_range_of_float32_do_not_make_the_norm_infinite():
    rows = np.array([[3e-30, 1.0]], dtype=np.float32)
    weights = np.array([1e60, 1.0])
    norm = LargestNorm((np.zeros(2), weights), np.zeros(2), rows.dtype)(rows)
    assert norm == pytest.approx(10.0, rel=1e-5)
