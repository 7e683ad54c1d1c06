"""Weights of rows and of classes: a weight of 2 is a row that stands twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inputs import CLASSES, NUMBERS, flat, in_chunks, perceptron, task
from tests.strategies import random_generators

KINDS = [*CLASSES, *NUMBERS]

# All fits are cut short: the way is the same from its first step.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(kind, *data, **options):
    return perceptron(kind, **{"max_iter": 4, "learning_rate_init": 0.02, **options}).fit(*data)


def assert_close(mine, other):
    np.testing.assert_allclose(flat(mine), flat(other), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_, rtol=1e-9)


@settings(max_examples=20)
@given(st.sampled_from(KINDS), st.sampled_from(["sgd", "adam", "lbfgs"]), random_generators())
def test_an_integer_weight_is_a_row_that_stands_several_times(kind, solver, rng):
    X, y = task(kind, n=60, seed=int(rng.integers(100)))
    weight = rng.integers(0, 4, len(X)).astype(float)
    present = [np.flatnonzero(y == label)[0] for label in np.unique(y)] if kind in CLASSES else 0
    weight[present if kind != "labels" else 0] = 1.0
    rows = np.repeat(np.arange(len(X)), weight.astype(int))
    options = {"solver": solver, "shuffle": False, "activation": "tanh"}
    weighted = fit(kind, X, y, weight, batch_size=len(X), **options)
    repeated = fit(kind, X[rows], y[rows], batch_size=len(rows), **options)
    assert_close(weighted, repeated)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_ratios_of_weights_count_without_a_penalty(kind, solver):
    X, y = task(kind)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(X))
    options = {"solver": solver, "alpha": 0.0, "activation": "tanh"}
    assert_close(fit(kind, X, y, weight, **options), fit(kind, X, y, 8.0 * weight, **options))
    assert_close(fit(kind, X, y, 0.5, **options), fit(kind, X, y, **options))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("class_weight", ["balanced", {"b": 3.0, "c": 0.0}])
def test_class_weights_multiply_sample_weights(class_weight, solver, lazy):
    X, codes = task("classes")
    y = np.array(["a", "b", "c"])[codes]
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(X))
    totals = np.bincount(codes, weight)
    factors = weight.sum() / (3 * totals) if class_weight == "balanced" else np.array([1, 3, 0])
    data = [(X, y, weight), (X, y, weight * factors[codes])]
    if lazy:
        data = [in_chunks(100, *each) for each in data]
    mine = fit("classes", *data[0], solver=solver, class_weight=class_weight)
    assert_close(mine, fit("classes", *data[1], solver=solver))
    np.testing.assert_array_equal(mine.classes_, ["a", "b", "c"])


@pytest.mark.parametrize("lazy", [False, True])
def test_partial_fit_takes_weights_of_named_classes(lazy):
    X, y = task("classes")
    weight = np.ones(len(X))
    models = [perceptron("classes", class_weight=each) for each in ({1: 3.0}, None)]
    for rows in (slice(0, 150), slice(150, 300)):
        chosen = y[rows] != 2  # a class that is there without a row
        data = [(X[rows][chosen], y[rows][chosen], weight[rows][chosen])]
        data.append((*data[0][:2], np.where(data[0][1] == 1, 3.0, 1.0)))
        for model, each in zip(models, data, strict=True):
            model.partial_fit(*(in_chunks(50, *each) if lazy else each), classes=[0, 1, 2])
    assert_close(*models)
    assert models[0].predict_proba(X).shape == (len(X), 3)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_batch_without_weight_is_passed_over(solver):
    X, y = task("number", n=200)
    weight = np.repeat([1.0, 0.0, 1.0, 0.0], 50)
    options = {"solver": solver, "shuffle": False, "batch_size": 50}
    mine = fit("number", X, y, weight, **options)
    other = fit("number", X[weight > 0], y[weight > 0], **options)
    np.testing.assert_allclose(flat(mine), flat(other), rtol=1e-9)
