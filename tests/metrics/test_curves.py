"""Curves of lazy scores against scikit-learn's of the same in memory."""

from __future__ import annotations

import inspect

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import calibration, metrics

from dlbd_estimators.metrics import calibration_curve, roc_curve
from dlbd_estimators.metrics.curves import rounded_roc_curve
from dlbd_estimators.metrics.quantized_scores import QuantizedScores, truncated


@st.composite
def scored(draw):
    """Labels of two classes, scores with ties, whole weights, and where to cut."""
    n_rows = draw(st.integers(2, 40))
    y = draw(
        st.lists(st.booleans(), min_size=n_rows, max_size=n_rows).filter(
            lambda y: 0 < sum(y) < len(y)
        )
    )
    scores = draw(st.lists(st.integers(0, 20), min_size=n_rows, max_size=n_rows))
    weights = draw(st.lists(st.integers(1, 3), min_size=n_rows, max_size=n_rows))
    return (
        np.array(y, dtype=int),
        np.array(scores) / 20,
        np.array(weights),
        draw(st.integers(1, 15)),
    )


@given(scored(), st.booleans())
def test_roc_curve(case, drop_intermediate):
    y, scores, weights, chunk = case
    with dask.config.set(scheduler="synchronous"):
        mine = roc_curve(
            *(da.from_array(each, chunks=chunk) for each in (y, scores)),
            sample_weight=da.from_array(weights, chunks=chunk),
            drop_intermediate=drop_intermediate,
        )
    theirs = metrics.roc_curve(
        y, scores, sample_weight=weights, drop_intermediate=drop_intermediate
    )
    for left, right in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


numbers = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-10, 10))


@given(numbers, st.integers(1, 40))
def test_rounding_drops_as_few_digits_as_it_takes_and_keeps_the_order(values, n_distinct):
    found, digits = QuantizedScores(n_distinct)(values)
    assert len(np.unique(found)) <= n_distinct
    np.testing.assert_array_equal(found, truncated(values, digits))
    assert digits == 64 or len(np.unique(truncated(values, digits + 1))) > n_distinct
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    assert (np.abs(found) <= np.abs(values)).all()


@given(numbers, st.integers(1, 12), st.integers(1, 15), st.randoms(use_true_random=False))
def test_a_rounded_curve_is_that_of_rounded_scores_however_it_is_cut(
    scores, max_scores, chunk, random
):
    y = np.array([random.randint(0, 1) for _ in scores])
    y[: len(y) // 2 + 1] = 0
    y = np.append(y, 1)
    scores = np.append(scores, 0.5)
    with dask.config.set(scheduler="synchronous"):
        mine = rounded_roc_curve(
            *(da.from_array(each, chunks=chunk) for each in (y, scores)), max_scores=max_scores
        )
    theirs = metrics.roc_curve(y, QuantizedScores(max_scores)(scores)[0])
    for left, right in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


@given(scored(), st.integers(1, 9), st.sampled_from([None, 0, 1]))
def test_calibration_curve(case, n_bins, pos_label):
    y, prob, _, chunk = case
    with dask.config.set(scheduler="synchronous"):
        mine = calibration_curve(
            *(da.from_array(each, chunks=chunk) for each in (y, prob)),
            n_bins=n_bins,
            pos_label=pos_label,
        )
    theirs = calibration.calibration_curve(y, prob, n_bins=n_bins, pos_label=pos_label)
    for left, right in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(roc_curve, metrics.roc_curve), (calibration_curve, calibration.calibration_curve)],
)
def test_parameters_are_those_of_scikit_learn_too(ours, theirs):
    found, expected = (inspect.signature(each).parameters for each in (ours, theirs))
    assert {key: (each.default, each.kind) for key, each in found.items()} == {
        key: (each.default, each.kind) for key, each in expected.items()
    }


def test_what_scikit_learn_refuses_is_refused():
    y, prob = (
        da.from_array(np.array([0, 1, 2]), chunks=2),
        da.from_array(np.array([0.1, 0.5, 1.5]), chunks=2),
    )
    with pytest.raises(ValueError, match="multiclass"):
        roc_curve(y, prob)
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        calibration_curve(y, prob)
    with pytest.raises(ValueError, match="pos_label is not specified"):
        calibration_curve(y, prob / 2)
    with pytest.raises(ValueError, match="binary"):
        calibration_curve(y, prob / 2, pos_label=1)
    with pytest.raises(ValueError, match="n_bins"):
        calibration_curve(y, prob / 2, n_bins=2.5)
    with pytest.raises(ValueError, match="0 sample"):
        calibration_curve(y[:0], prob[:0])
    with pytest.raises(ValueError, match="quantile"):
        calibration_curve(y, prob / 2, strategy="quantile")
    with pytest.raises(ValueError, match="1D"):
        roc_curve(y, da.ones((3, 2), chunks=(2, 2)))


def test_the_positive_class_of_labels_that_are_all_0_is_1():
    y, prob = np.zeros(4, dtype=int), np.array([0.1, 0.2, 0.7, 0.9])
    mine = calibration_curve(da.from_array(y, chunks=3), da.from_array(prob, chunks=3))
    for left, right in zip(mine, calibration.calibration_curve(y, prob), strict=True):
        np.testing.assert_array_equal(left, right)
    for pos_label in ("no", "yes"):
        words = np.array(["no", "yes", "no", "yes"])
        mine = calibration_curve(da.from_array(words, chunks=3), prob, pos_label=pos_label)
        theirs = calibration.calibration_curve(words, prob, pos_label=pos_label)
        np.testing.assert_array_equal(mine, theirs)
