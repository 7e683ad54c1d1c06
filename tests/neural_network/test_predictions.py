"""Predictions and scores: lazy where X is lazy, and what formulas on whole arrays give."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score

from tests.inputs import CLASSES, LAZY, NUMBERS, as_kind, in_chunks, names, perceptron, task

KINDS = [*CLASSES, *NUMBERS]

# Predictions do not depend on where the fits end.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(kind, X, y, **options):
    return perceptron(kind, **{"max_iter": 5, "learning_rate_init": 0.02, **options}).fit(X, y)


def methods(kind):
    return ["predict", *(["predict_proba", "predict_log_proba"] if kind in CLASSES else [])]


def raw(model, X):
    """Forward through the layers, by the book."""
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        X = X @ coef + intercept
        if coef is not model.coefs_[-1]:
            X = np.maximum(X, 0.0)
    return X


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_what_the_layers_give(kind):
    X, y = task(kind)
    model = fit(kind, X, y, hidden_layer_sizes=(6, 4))
    z = raw(model, X)
    match kind:
        case "binary":
            probability = np.column_stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])
            expected = model.classes_[probability.argmax(axis=1)]
        case "classes":
            probability = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            expected = model.classes_[probability.argmax(axis=1)]
        case "labels":
            probability = 1 / (1 + np.exp(-z))
            expected = (probability > 0.5).astype(int)
        case "counts":
            expected = np.exp(z[:, 0])
        case _:
            expected = z if kind == "numbers" else z[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-10)
    if kind in CLASSES:
        np.testing.assert_allclose(model.predict_proba(X), probability, rtol=1e-10)
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(probability), rtol=1e-9)
        assert np.isfinite(model.predict_log_proba(1e5 * X)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data", LAZY)
@pytest.mark.parametrize("kind", KINDS)
def test_lazy_predictions_are_lazy_and_those_of_arrays(kind, data, dtype):
    X, y = task(kind, n=700)
    X = X.astype(dtype)
    lazy = as_kind(data, X, y)[0]
    model = fit(kind, pd.DataFrame(X, columns=names(5)) if data == "frame" else X, y, max_iter=1)
    eager = pd.DataFrame(X, columns=names(5)) if data == "frame" else X
    for method in methods(kind):
        predicted, expected = getattr(model, method)(lazy), getattr(model, method)(eager)
        assert isinstance(predicted, da.Array)
        computed = predicted.compute()
        assert predicted.dtype == computed.dtype == expected.dtype
        assert predicted.ndim == expected.ndim == predicted._meta.ndim
        if method != "predict" or kind in NUMBERS:
            assert expected.dtype == dtype
        # Rows are cut into other products, of which BLAS may round another way.
        rtol = 1e-12 if dtype == np.float64 else 1e-4
        np.testing.assert_allclose(computed, expected, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", [*LAZY, "numpy", "pandas"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_scikit_learns_metrics(kind, data, weighted):
    X, y = task(kind, n=700)
    weight = np.random.default_rng(1).integers(0, 4, len(X)).astype(float) if weighted else None
    inputs = as_kind(data, X, y, weight)
    named = data in ("frame", "pandas")
    model = fit(kind, pd.DataFrame(X, columns=names(5)) if named else X, y, max_iter=2)
    predicted = model.predict(pd.DataFrame(X, columns=names(5)) if named else X)
    metric = accuracy_score if kind in CLASSES else r2_score
    score = model.score(*inputs)
    assert isinstance(score, float)
    assert score == pytest.approx(metric(y, predicted, sample_weight=weight), rel=1e-9)


@pytest.mark.parametrize(
    "alphabet", [["no", "yes"], ["high", "low", "middle"], [True, False], [-7, 2, 30]]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_any_labels(alphabet, lazy):
    alphabet = np.unique(alphabet)
    X, codes = task("binary" if len(alphabet) == 2 else "classes")
    data = (X, alphabet[codes])
    model = fit("classes", *(in_chunks(70, *data) if lazy else data))
    np.testing.assert_array_equal(model.classes_, alphabet)
    assert model.predict(X).dtype == alphabet.dtype
    expected = fit("classes", *(in_chunks(70, X, codes) if lazy else (X, codes)))
    np.testing.assert_array_equal(model.predict(X), alphabet[expected.predict(X)])
    assert model.score(*in_chunks(70, *data)) == pytest.approx(model.score(*data))


def test_labels_unseen_in_training_are_wrong_predictions_and_no_error():
    X, y = task("classes")
    model = fit("classes", X, y)
    strange = np.where(np.arange(len(y)) < 70, 9, y)
    assert model.score(*in_chunks(100, X, strange)) == pytest.approx(model.score(X, strange))


def test_predictions_are_those_of_the_attributes():
    X, y = task("number")
    model = fit("number", X, y)
    before = model.predict(X)
    model.intercepts_[-1] += 1.0
    np.testing.assert_allclose(model.predict(X), before + 1.0)


def test_what_the_next_fit_is_to_minimise_changes_no_prediction():
    X, y = task("number")
    model = fit("number", X, y)
    before, score = model.predict(X), model.score(*in_chunks(100, X, y))
    model.set_params(loss="poisson")
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.score(*in_chunks(100, X, y)) == score
