"""A copy of a model, by pickle, joblib or clone, goes on as the model itself would."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from dlbd_estimators.solvers.stochastic import one_epoch
from tests.inputs import CLASSES, NUMBERS, flat, in_chunks, perceptron, task

KINDS = [*CLASSES, *NUMBERS]

# All fits are cut short: copies go on from anywhere.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def by_pickle(model, _directory):
    return pickle.loads(pickle.dumps(model))


def by_joblib(model, directory):
    joblib.dump(model, directory / "model")
    return joblib.load(directory / "model")


def go_on(model, X, y):
    classes = {"classes": np.unique(y)} if model.__class__.__name__ == "MLPClassifier" else {}
    if np.ndim(y) == 2:
        classes = {"classes": np.arange(y.shape[1])} if classes else {}
    return model.partial_fit(X, y, **classes)


@pytest.mark.parametrize("copy", [by_pickle, by_joblib])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_predicts_and_goes_on_with_the_same_bits(kind, solver, copy, tmp_path):
    X, y = task(kind)
    model = perceptron(kind, solver=solver, max_iter=3).fit(X, y)
    other = copy(model, tmp_path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    for n in (200, 150):
        np.testing.assert_array_equal(
            flat(go_on(other, X[:n], y[:n])), flat(go_on(model, X[:n], y[:n]))
        )
    assert other.loss_curve_ == model.loss_curve_


@pytest.mark.parametrize("n_replicas", [1, 2])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_epochs_one_by_one_on_blocks_keep_the_updates_memory(kind, solver, n_replicas):
    X, y = in_chunks(60, *task(kind))
    options = {"solver": solver, "n_replicas": n_replicas, "random_state": 3}
    model, other = perceptron(kind, **options), perceptron(kind, **options)
    classes = {"classes": np.arange(2 if kind == "binary" else 3)} if kind in CLASSES else {}
    for number in range(4):
        model.partial_fit(X, y, **classes)
        if number == 1:
            forgetful = pickle.loads(pickle.dumps(model))
            del forgetful._training
            forgetful.partial_fit(X, y)
        other = pickle.loads(pickle.dumps(other.partial_fit(X, y, **classes)))
        np.testing.assert_array_equal(flat(model), flat(other))
        if number == 2:
            assert not np.array_equal(flat(model), flat(forgetful))
    assert model.t_ == 4 * 300


def test_epochs_one_by_one_are_those_of_fit_without_an_order():
    """With one, fit draws a seed once and partial_fit in every call."""
    for lazy in (False, True):
        X, y = task("classes")
        data = in_chunks(60, X, y) if lazy else (X, y)
        options = {"shuffle": False, "learning_rate_init": 0.02}
        model = perceptron("classes", max_iter=4, **options).fit(*data)
        other = perceptron("classes", **options)
        for _ in range(4):
            other.partial_fit(*data, classes=[0, 1, 2])
        np.testing.assert_array_equal(flat(model), flat(other))
        assert model.loss_curve_ == other.loss_curve_


def test_epochs_one_by_one_put_the_blocks_in_another_order_each(monkeypatch):
    plans = []

    def plan(*args):
        rounds, before = planned(*args)
        plans.append(rounds)
        return rounds, before

    planned = one_epoch._planned
    monkeypatch.setattr(one_epoch, "_planned", plan)
    X, y = in_chunks(20, *task("number"))
    model = perceptron("number")
    for _ in range(4):
        model.partial_fit(X, y)
    assert len({str(each) for each in plans}) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_clone_is_not_fitted_and_fits_to_the_same_bits(kind):
    X, y = task(kind)
    model = perceptron(kind, max_iter=2).fit(X, y)
    other = clone(model)
    assert not hasattr(other, "coefs_")
    np.testing.assert_array_equal(flat(other.fit(X, y)), flat(model))


def test_fit_forgets_and_leaves_its_arguments_alone():
    X, y = task("classes")
    data = [X.copy(), y.copy(), np.ones(len(X))]
    for array in data:
        array.setflags(write=False)
    model = perceptron("classes", max_iter=3).fit(*data)
    first = flat(model)
    model.partial_fit(*data)
    np.testing.assert_array_equal(flat(model.fit(*data)), first)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_model_shares_no_memory_with_its_earlier_self(early_stopping):
    X, y = task("number")
    model = perceptron("number", max_iter=3, warm_start=True, early_stopping=early_stopping)
    model.fit(X, y)
    coefs, before = model.coefs_, flat(model)
    losses = model.loss_curve_
    model.fit(X, y)
    assert losses == model.loss_curve_[:3]
    assert len(losses) == 3
    np.testing.assert_array_equal(np.ravel(coefs[0]), before[: coefs[0].size])


@pytest.mark.parametrize("way", ["warm_start", "partial_fit"])
@pytest.mark.parametrize("kind", ["classes", "number"])
def test_mini_batches_go_on_from_lbfgs(kind, way):
    X, y = task(kind)
    model = perceptron(kind, solver="lbfgs", max_iter=5).fit(X, y)
    loss = model.loss_
    model.set_params(solver="sgd", learning_rate_init=1e-3, warm_start=True)
    model = model.fit(X, y) if way == "warm_start" else model.partial_fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(loss, rel=0.05)
