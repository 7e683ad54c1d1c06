"""Parameters and fitted attributes: scikit-learn's, and ours beside them."""

from __future__ import annotations

import inspect
from numbers import Integral, Real

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network
from sklearn.ensemble import HistGradientBoostingClassifier

import dlbd_estimators
from tests.inputs import CLASSES, NUMBERS, as_kind, in_chunks, names, perceptron, task

KINDS = [*CLASSES, *NUMBERS]
OURS = {
    "n_replicas", "buffer_size", "outer_learning_rate", "outer_momentum", "checkpoint",
    "warmup_epochs", "dropout", "clip_norm", "decoupled_weight_decay", "privacy",
}  # fmt: skip
OUR_ATTRIBUTES = {"history_", "n_passes_", "n_replicas_"}
# scikit-learn's lbfgs reports its last loss alone.
OUR_LBFGS_ATTRIBUTES = {
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
}

# All fits are cut short: what is looked at does not depend on where they end.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def parameters(function):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_signatures_are_scikit_learns_and_what_is_added_has_a_name(name):
    mine, theirs = getattr(dlbd_estimators, name), getattr(neural_network, name)
    expected = parameters(theirs)
    assert parameters(mine)[: len(expected)] == expected
    added = parameters(mine)[len(expected) :]
    assert {name for name, _, _ in added} - {"class_weight"} == OURS
    assert ("class_weight" in dict.fromkeys(name for name, _, _ in added)) == (
        name == "MLPClassifier"
    )
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in added)
    own = parameters(mine.fit)
    n_common = len(parameters(theirs.fit))
    assert own[:n_common] == parameters(theirs.fit)
    # The names of scikit-learn's HistGradientBoostingClassifier.fit.
    assert own[n_common:] == parameters(HistGradientBoostingClassifier.fit)[n_common:]
    for method in ("partial_fit", "predict", "score"):
        assert parameters(getattr(mine, method)) == parameters(getattr(theirs, method))


def fitted(model):
    return {
        name: value
        for name, value in vars(model).items()
        if name.endswith("_") and not name.startswith("_")
    }


def described(value):
    """Type, and what arrays look like."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype
    if isinstance(value, list):
        return [described(each) for each in value]
    for number in (Integral, Real):
        if isinstance(value, number):
            return number
    return value


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_fitted_attributes_look_like_scikit_learns(kind, solver, early_stopping):
    X, y = task(kind, n=120)
    frame = pd.DataFrame(X, columns=names(X.shape[1]))
    options = {"solver": solver, "early_stopping": early_stopping, "max_iter": 4}
    mine = fitted(perceptron(kind, **options).fit(frame, y))
    theirs = fitted(perceptron(kind, neural_network, **options).fit(frame, y))
    ours = OUR_ATTRIBUTES | (OUR_LBFGS_ATTRIBUTES if solver == "lbfgs" else set())
    assert mine.keys() - theirs.keys() == ours
    assert theirs.keys() <= mine.keys()
    for name, value in theirs.items():
        assert described(mine[name]) == described(value), name
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "t_"):
        assert mine[name] == theirs[name]
    if kind in CLASSES:
        np.testing.assert_array_equal(mine["classes_"], theirs["classes_"])


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n_replicas", ["auto", 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_history_tells_each_epoch(lazy, n_replicas, early_stopping):
    X, y = task("binary", n=300)
    if lazy or n_replicas == 2:
        X, y, _ = as_kind("dask" if lazy else "ragged", X, y)
    model = perceptron(
        "binary",
        solver="sgd",
        learning_rate="invscaling",
        early_stopping=early_stopping,
        n_replicas=n_replicas,
        buffer_size=2 * 200 * 5 * 8,
        max_iter=3,
    ).fit(X, y)
    keys = {"iteration", "pass", "loss", "learning_rate", "rounds", "seconds", "bytes_read"}
    assert [set(entry) for entry in model.history_] == 3 * [
        keys | ({"validation_score", "validation_loss"} if early_stopping else set())
    ]
    table = {key: [entry[key] for entry in model.history_] for key in model.history_[0]}
    assert table["iteration"] == [1, 2, 3]
    assert table["loss"] == model.loss_curve_
    assert table["learning_rate"][0] == model.learning_rate_init
    assert table["learning_rate"] == sorted(table["learning_rate"], reverse=True)
    assert table["seconds"] == sorted(table["seconds"])
    assert model.n_passes_ == table["pass"][-1]
    assert isinstance(model.n_passes_, float)
    in_memory = not lazy and n_replicas == "auto"
    each = 1.0 + (early_stopping and (0.1 if in_memory else 1.0))
    np.testing.assert_allclose(table["pass"], [each, 2 * each, 3 * each])
    assert model.n_replicas_ == (1 if n_replicas == "auto" else n_replicas)
    n_rows = 270 if early_stopping else 300
    read = 0 if in_memory else (n_rows * (5 + 1) * 8)
    assert model.t_ == pytest.approx(3 * n_rows, abs=0 if in_memory else 12)
    assert table["bytes_read"] == pytest.approx([read, 2 * read, 3 * read], rel=0.05)
    if early_stopping:
        assert table["validation_score"] == model.validation_scores_
        assert model.best_validation_score_ == max(model.validation_scores_)


def test_history_of_lbfgs_counts_passes():
    X, y = task("classes")
    model = perceptron("classes", solver="lbfgs", max_iter=7).fit(*in_chunks(100, X, y))
    assert [entry["iteration"] for entry in model.history_] == list(range(1, 8))
    passes = [entry["pass"] for entry in model.history_]
    assert passes == sorted(passes)
    assert model.n_passes_ >= passes[-1]
    assert model.loss_ == model.loss_curve_[-1] == model.history_[-1]["loss"]
    assert model.best_loss_ == min(model.loss_curve_)
    assert (model.t_, model.n_replicas_) == (0, 1)


def test_partial_fit_adds_to_the_history():
    X, y = task("number")
    model = perceptron("number")
    for n in range(1, 4):
        model.partial_fit(X, y)
        assert (len(model.history_), len(model.loss_curve_), model.n_iter_) == (n, n, 1)
        assert model.n_passes_ == n
        assert model.t_ == n * len(X)


def test_verbose_says_what_scikit_learn_says(capsys):
    X, y = task("binary")
    options = {"verbose": True, "max_iter": 30, "tol": 0.1, "n_iter_no_change": 2}
    for scheduled in (
        {"early_stopping": True},
        {"solver": "sgd", "learning_rate": "adaptive"},
    ):
        perceptron("binary", neural_network, **options, **scheduled).fit(X, y)
        expected = capsys.readouterr().out.replace("consecutive epochs", "epochs")
        perceptron("binary", **options, **scheduled).fit(X, y)
        assert capsys.readouterr().out.split("\n")[:3] == expected.split("\n")[:3]
