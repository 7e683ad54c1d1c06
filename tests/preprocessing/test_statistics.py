"""Statistics of columns are NumPy's for any chunking, and lose no digits to a large mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.preprocessing import narrow_rows, statistics
from dlbd_estimators.preprocessing.statistics import column_statistics, merge

FIELDS = ("count", "weight", "mean", "m2", "minimum", "maximum")


@st.composite
def rows(draw):
    """Rows with NaN, columns of large means, of one value and of none; with cuts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 60))
    X = rng.normal(size=(n, 5)) + np.array([0, 1e8, -3, 0, 0])
    X[rng.random(X.shape) < draw(st.sampled_from([0, 0.3, 0.9]))] = np.nan
    X[:, 3] = draw(st.floats(-1e9, 1e9))
    X[:, 4] = np.nan
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=6)))
    return X, np.split(X, cuts)


def joined(blocks):
    total = column_statistics(blocks[0])
    for block in blocks[1:]:
        total = merge(total, column_statistics(block))
    return total


def close(left, right, rtol=1e-12):
    assert left.n_rows == right.n_rows
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(left, field), getattr(right, field), rtol=rtol, atol=1e-12, err_msg=field
        )


@given(rows())
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_any_chunking_gives_numpys_statistics(case):
    X, blocks = case
    found = joined(blocks)
    # Variances of columns of mean 1e8 need more digits than NumPy's mean in float64 has.
    wide = X.astype(np.longdouble)
    np.testing.assert_array_equal(found.count, (~np.isnan(X)).sum(axis=0))
    np.testing.assert_array_equal(found.n_missing, np.isnan(X).sum(axis=0))
    mean = np.nanmean(wide, axis=0).astype(float)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found.minimum, np.nanmin(X, axis=0))
    np.testing.assert_array_equal(found.maximum, np.nanmax(X, axis=0))
    np.testing.assert_array_equal(found.max_abs, np.nanmax(np.abs(X), axis=0))
    variance = np.nanvar(wide, axis=0).astype(float)
    # Of one value, or of values that are the same to rounding, it is the square of a rounding.
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12, atol=1e-15)
    assert found.m2[3] == 0
    assert found.mean[3] == X[0, 3]


def laid_out(X, how):
    match how:
        case "C" | "F":
            return np.asarray(X, order=how)
        case "rows reversed":
            return X[::-1].copy()[::-1]
        case "columns reversed":
            return X[:, ::-1].copy()[:, ::-1]
    return np.repeat(X, 2, axis=1)[:, ::2]


def plainly(tile, weight):
    """Mean, what rounding took of it, and squared deviations: each formula a line of NumPy."""
    missing = np.isnan(tile)
    ones = np.ones(len(tile)) if weight is None else weight
    total = (ones[:, np.newaxis] * ~missing).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        first = (ones @ np.where(missing, 0.0, tile)) / total
        deviation = np.where(missing, 0.0, tile - first)
        drift = (ones @ deviation) / total
        m2 = ones @ deviation**2 - drift**2 * total
        mean, rest = statistics.exact_sum(first, drift)
    one_value = np.fmin.reduce(tile) == np.fmax.reduce(tile)
    mean = np.where(one_value, np.fmin.reduce(tile), mean)
    none = total == 0
    unspread = one_value | none
    return np.where(none, np.nan, mean), np.where(unspread, 0, rest), np.where(unspread, 0, m2)


@given(
    rows(),
    st.sampled_from([np.float64, np.float32]),
    st.booleans(),
    st.sampled_from(["C", "F", "rows reversed", "columns reversed", "columns of more"]),
    st.integers(1, 40),
)
def test_a_tile_has_the_bits_of_the_formulas(case, dtype, weighted, order, length):
    X = laid_out(case[0].astype(dtype), order)
    weight = np.arange(1.0, len(X) + 1) if weighted else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrow_rows, "_LENGTH", length)
        found = column_statistics(X, weight)
    expected = plainly(X.astype(np.float64), weight)
    for field, values in zip(("mean", "rest", "m2"), expected, strict=True):
        np.testing.assert_array_equal(getattr(found, field), values, err_msg=field)
    np.testing.assert_array_equal(found.count, (~np.isnan(X)).sum(axis=0))
    np.testing.assert_array_equal(found.minimum, np.fmin.reduce(X))
    np.testing.assert_array_equal(found.maximum, np.fmax.reduce(X))


@given(rows())
def test_merging_is_associative(case):
    _, blocks = case
    parts = [column_statistics(block) for block in (blocks + blocks[:2])[:3]]
    while len(parts) < 3:
        parts.append(parts[0])
    a, b, c = parts
    close(merge(merge(a, b), c), merge(a, merge(b, c)), rtol=1e-11)


@given(rows(), st.integers(0, 2**32 - 1))
def test_weights_are_repeated_rows(case, seed):
    X, _ = case
    weight = np.random.default_rng(seed).integers(0, 4, size=len(X))
    weighted = column_statistics(X, weight)
    repeated = column_statistics(np.repeat(X, weight, axis=0))
    for field in ("weight", "mean", "minimum", "maximum"):
        np.testing.assert_allclose(
            getattr(weighted, field), getattr(repeated, field), rtol=1e-12, atol=1e-12
        )
    np.testing.assert_allclose(weighted.m2, repeated.m2, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, bool])
def test_sums_are_float64_whatever_the_dtype(dtype, rng):
    X = rng.integers(0, 2 if dtype is bool else 200, size=(500, 2)).astype(dtype)
    found = column_statistics(X)
    assert all(getattr(found, field).dtype == np.float64 for field in FIELDS)
    np.testing.assert_allclose(found.mean, X.astype(float).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.variance, X.astype(float).var(axis=0), rtol=1e-13)


def test_tiles_change_nothing(monkeypatch, rng):
    X = rng.normal(size=(200, 3)) + 1e8
    X[rng.random(X.shape) < 0.2] = np.nan
    whole = column_statistics(X)
    monkeypatch.setattr(statistics, "_TILE_VALUES", 21)
    close(column_statistics(X), whole)


def test_infinity_names_row_and_column():
    X = np.zeros((5, 3))
    X[3, 1] = -np.inf
    with pytest.raises(NonFiniteValues, match="infinity at row 3 of the block, column 1"):
        column_statistics(X)
    with pytest.raises(NonFiniteValues, match="row 3 of the block, column 'b'"):
        column_statistics(X, names=["a", "b", "c"])


def test_weights_must_be_finite():
    with pytest.raises(NonFiniteValues, match="sample_weight contains NaN or infinity at row 1"):
        column_statistics(np.zeros((2, 1)), np.array([1.0, np.nan]))
