"""Fits that end in another way: a single class, a network that diverges."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as TheirClassifier

from dlbd_estimators import MLPClassifier, MLPRegressor
from dlbd_estimators.exceptions import Diverged
from tests.inputs import as_kind, task

DIVERGING = {
    "activation": "identity", "early_stopping": True, "learning_rate_init": 1.0, "max_iter": 20,
    "random_state": 0, "solver": "sgd",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("data", ["numpy", "dask", "zarr"])
@pytest.mark.parametrize("label", [3, "yes"])
def test_a_single_class_is_always_predicted(label, data, options):
    X, _ = task("binary", n=120)
    y = np.full(120, label)
    inputs = (X, y) if data == "numpy" else as_kind(data, X, y)[:2]
    options = {"hidden_layer_sizes": 4, "max_iter": 5, "random_state": 0, **options}
    model = MLPClassifier(**options).fit(*inputs)
    theirs = TheirClassifier(**options).fit(X, y)
    assert (model.n_outputs_, model.out_activation_) == (theirs.n_outputs_, theirs.out_activation_)
    np.testing.assert_array_equal(model.classes_, [label])
    np.testing.assert_array_equal(model.predict(X), y)
    assert model.predict_proba(X).shape == theirs.predict_proba(X).shape
    assert model.score(*inputs) == 1.0
    model.coefs_[-1][:] = 0.0
    model.intercepts_[-1][:] = 5.0  # whatever the network says
    np.testing.assert_array_equal(np.asarray(model.predict(inputs[0])), y)
    assert model.score(*inputs) == 1.0
    np.testing.assert_array_equal(model.to_sklearn().classes_, [label])


def test_partial_fit_of_a_single_class():
    X, _ = task("binary", n=50)
    model = MLPClassifier((4,), random_state=0).partial_fit(X, np.zeros(50), classes=[0])
    np.testing.assert_array_equal(model.partial_fit(X, np.zeros(50)).predict(X), np.zeros(50))
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, np.ones(50))


@pytest.mark.parametrize("data", ["numpy", "dask"])
def test_a_network_that_diverges_keeps_its_best(data):
    X, y = task("number", n=300)
    inputs = (X, y) if data == "numpy" else as_kind(data, X, y)[:2]
    # A rate at which some epochs have a score before the parameters leave the finite numbers.
    model = MLPRegressor(**DIVERGING)
    for rate in (0.2, 0.5, 1.0, 2.0, 5.0):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                model.set_params(learning_rate_init=rate).fit(*inputs)
            except Diverged:
                continue
        if any("diverged" in str(each.message) for each in seen):
            break
    else:
        pytest.fail("no rate diverged after a score")
    (warning,) = [each for each in seen if "diverged" in str(each.message)]
    assert warning.category is ConvergenceWarning
    assert warning.filename == __file__
    assert "best validation score" in str(warning.message)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isnan(model.loss_)
    assert model.best_validation_score_ == np.nanmax(model.validation_scores_)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.history_)
    assert all(np.isfinite(each).all() for each in model.coefs_)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_that_diverges_at_once_keeps_the_earlier_model():
    X, y = task("number", n=300)
    model = MLPRegressor(**{**DIVERGING, "learning_rate_init": 0.01}, warm_start=True).fit(X, y)
    before, best = model.predict(X), model.best_validation_score_
    # The weights are so large that the first batch already has no finite loss.
    model.coefs_ = [1e200 * coef for coef in model.coefs_]
    model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.best_validation_score_ == best
    assert np.isnan(model.validation_scores_[-1])


def test_a_network_that_diverges_before_a_score_is_an_error():
    X, y = task("number", n=300)
    with pytest.raises(Diverged):
        MLPRegressor(**{**DIVERGING, "learning_rate_init": 1e30}).fit(X, y)


@pytest.mark.parametrize("data", ["numpy", "list", "dask", "zarr"])
def test_several_classes_for_each_row_are_refused_with_a_way_out(data):
    X, _ = task("binary", n=60)
    y = np.arange(120).reshape(60, 2) % 3
    X, y, _ = as_kind(data, X, y)
    with pytest.raises(ValueError, match=r"fit one model to each (column )?y\[:, j\]"):
        MLPClassifier((2,), max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match=r"fit one model to each (column )?y\[:, j\]"):
        MLPClassifier((2,), max_iter=2).partial_fit(X, y, classes=[0, 1, 2])
