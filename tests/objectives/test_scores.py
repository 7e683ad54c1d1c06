"""Score sums against scikit-learn's metrics."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, r2_score

from dlbd_estimators.objectives.kernels import Block
from dlbd_estimators.objectives.predictors import LinearPredictor
from dlbd_estimators.objectives.scores import ScoreKernel, SquaredErrors, WrongClass
from tests.strategies import cuts, features, pieces, random_generators, weights


@st.composite
def cases(draw, classify):
    n, p = draw(st.integers(2, 50)), draw(st.integers(1, 4))
    outputs = draw(st.sampled_from([1, 3]))
    rng = draw(random_generators())
    if classify:
        y = rng.integers(-1, max(outputs, 2), n).astype(float)  # -1: a label not seen in fit
    else:
        y = rng.normal(size=(n, outputs)) + 5.0
    block = Block(draw(features(n, p)), y, draw(weights(n)))
    return block, LinearPredictor(rng.normal(size=(outputs, p)), rng.normal(size=outputs))


def sums_of(kernel, block, parameters, sizes):
    return reduce(kernel.combine, [kernel(each, parameters) for each in pieces(block, sizes)])


@given(cases(classify=False), st.data())
def test_sums_give_the_coefficient_of_determination(case, data):
    block, model = case
    coef, intercept = model.coef, model.intercept
    sums = sums_of(ScoreKernel(SquaredErrors()), block, model, data.draw(cuts(block.n_rows)))
    if sums.deviations.min() < 1e-8:  # one row of weight: R^2 is not defined
        return
    predicted = block.X.astype(np.float64) @ coef.T + intercept
    expected = r2_score(block.y, predicted, sample_weight=block.weight)
    assert np.mean(1 - sums.squared_errors / sums.deviations) == pytest.approx(expected, rel=1e-9)
    assert sums.n_rows == block.n_rows


@given(cases(classify=True), st.data())
def test_sums_give_the_accuracy(case, data):
    block, model = case
    coef, intercept = model.coef, model.intercept
    sums = sums_of(ScoreKernel(WrongClass()), block, model, data.draw(cuts(block.n_rows)))
    raw = block.X.astype(np.float64) @ coef.T + intercept
    predicted = raw.argmax(axis=1) if len(coef) > 1 else raw[:, 0] > 0
    expected = accuracy_score(block.y, predicted, sample_weight=block.weight)
    assert 1 - sums.squared_errors[0] / sums.weight == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("errors", [SquaredErrors(), WrongClass()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_always_shows(value, errors, rng):
    X = rng.normal(size=(20, 3))
    X[13, 1] = value
    kernel = ScoreKernel(errors)
    parameters = LinearPredictor(np.array([[1.0, 0.0, 2.0]]), np.zeros(1))
    with np.errstate(invalid="ignore"):
        assert not kernel.is_finite(kernel(Block(X, np.zeros(20)), parameters))
