"""Score sums against scikit-learn's metrics."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, r2_score

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.kernels.scores import (
    ScoreKernel,
    SquaredErrors,
    WrongClass,
    WrongLabels,
)
from tests.strategies import cuts, features, pieces, random_generators, weights


@st.composite
def cases(draw, kind):
    """Rows and a linear model of them; the targets are numbers, counts, classes or labels."""
    n, p = draw(st.integers(2, 50)), draw(st.integers(1, 4))
    outputs = draw(st.sampled_from([1, 3]))
    rng = draw(random_generators())
    y = {
        "numbers": lambda: rng.normal(size=(n, outputs)) + 5.0,
        "counts": lambda: rng.poisson(3.0, (n, outputs)).astype(float),
        # -1: a label not seen in fit
        "classes": lambda: rng.integers(-1, max(outputs, 2), n).astype(float),
        "labels": lambda: rng.integers(0, 2, (n, outputs)).astype(float),
    }[kind]()
    block = Block(draw(features(n, p)), y, draw(weights(n)))
    return block, LinearPredictor(rng.normal(size=(outputs, p)), rng.normal(size=outputs))


def sums_of(kernel, block, parameters, sizes):
    return reduce(kernel.combine, [kernel(each, parameters) for each in pieces(block, sizes)])


@pytest.mark.parametrize("kind", ["numbers", "counts"])
@given(data=st.data())
def test_sums_give_the_coefficient_of_determination(kind, data):
    block, model = data.draw(cases(kind))
    link = np.exp if kind == "counts" else None
    sums = sums_of(ScoreKernel(SquaredErrors(link)), block, model, data.draw(cuts(block.n_rows)))
    if sums.deviations.min() < 1e-8:  # one row of weight: R^2 is not defined
        return
    predicted = block.X.astype(np.float64) @ model.coef.T + model.intercept
    if link is not None:
        predicted = link(predicted)
    expected = r2_score(block.y, predicted, sample_weight=block.weight)
    assert np.mean(1 - sums.squared_errors / sums.deviations) == pytest.approx(expected, rel=1e-9)
    assert sums.n_rows == block.n_rows


@given(cases("classes"), st.data())
def test_sums_give_the_accuracy(case, data):
    block, model = case
    coef, intercept = model.coef, model.intercept
    sums = sums_of(ScoreKernel(WrongClass()), block, model, data.draw(cuts(block.n_rows)))
    raw = block.X.astype(np.float64) @ coef.T + intercept
    predicted = raw.argmax(axis=1) if len(coef) > 1 else raw[:, 0] > 0
    expected = accuracy_score(block.y, predicted, sample_weight=block.weight)
    assert 1 - sums.squared_errors[0] / sums.weight == pytest.approx(expected, abs=1e-12)


@given(cases("labels"), st.data())
def test_sums_give_the_share_of_rows_with_all_labels_right(case, data):
    block, model = case
    sums = sums_of(ScoreKernel(WrongLabels()), block, model, data.draw(cuts(block.n_rows)))
    predicted = block.X.astype(np.float64) @ model.coef.T + model.intercept > 0
    expected = accuracy_score(block.y, predicted, sample_weight=block.weight)
    assert 1 - sums.squared_errors[0] / sums.weight == pytest.approx(expected, abs=1e-12)


def test_one_wrong_label_makes_a_row_wrong():
    raw = np.array([[1.0, -2.0], [1.0, 2.0], [-1.0, 0.0], [3.0, 3.0]])
    labels = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(WrongLabels()(raw, labels), [[0.0], [1.0], [0.0], [1.0]])


@pytest.mark.parametrize(
    "errors", [SquaredErrors(), SquaredErrors(np.exp), WrongClass(), WrongLabels()]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_always_shows(value, errors, rng):
    X = rng.normal(size=(20, 3))
    X[13, 1] = value
    kernel = ScoreKernel(errors)
    parameters = LinearPredictor(np.array([[1.0, 0.0, 2.0]]), np.zeros(1))
    with np.errstate(invalid="ignore"):
        assert not kernel.is_finite(kernel(Block(X, np.zeros(20)), parameters))
