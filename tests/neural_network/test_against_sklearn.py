"""In memory, perceptrons follow scikit-learn's step by step: losses, scores and parameters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import neural_network

from tests.inputs import CLASSES, NUMBERS, flat, perceptron, task

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
# scikit-learn's gradient is wrong for several numbers a row: see the last test.
KINDS = [kind for kind in (*CLASSES, *NUMBERS) if kind != "numbers"]

# All fits are cut short: it is the way that is compared, not where it ends.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def both(kind, **options):
    options = {"max_iter": 20, "batch_size": 64, **options}
    return perceptron(kind, **options), perceptron(kind, neural_network, **options)


def fit(kind, *data, **options):
    mine, theirs = both(kind, **options)
    return mine.fit(*data), theirs.fit(*data)


def assert_same_way(mine, theirs, rtol=1e-6):
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=rtol)
    assert (mine.n_iter_, mine.t_) == (theirs.n_iter_, theirs.t_)
    assert mine.loss_ == mine.loss_curve_[-1]
    if theirs.validation_scores_ is None:
        assert mine.validation_scores_ is mine.best_validation_score_ is None
        assert mine.best_loss_ == pytest.approx(theirs.best_loss_, rel=rtol)
    else:
        assert mine.best_loss_ is theirs.best_loss_ is None
        np.testing.assert_allclose(mine.validation_scores_, theirs.validation_scores_, rtol=rtol)
        assert mine.best_validation_score_ == max(mine.validation_scores_)
    assert_same_parameters(mine, theirs, rtol)


def assert_same_parameters(mine, theirs, rtol):
    for name in ("coefs_", "intercepts_"):
        for ours, expected in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            assert ours.shape == expected.shape
            assert ours.dtype == expected.dtype
            atol = rtol * np.abs(expected).max()
            np.testing.assert_allclose(ours, expected, rtol=rtol, atol=atol)


def weights(n):
    return np.random.default_rng(1).integers(0, 4, n) * 0.7


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_activation_and_kind_of_target(kind, activation, solver, weighted):
    X, y = task(kind)
    rate = 0.05 if solver == "sgd" else 0.01
    options = {"activation": activation, "solver": solver, "learning_rate_init": rate}
    assert_same_way(*fit(kind, X, y, weights(len(X)) if weighted else None, **options))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "classes"])
def test_early_stopping_keeps_the_same_parameters(kind, solver, weighted):
    X, y = task(kind)
    mine, theirs = fit(
        kind,
        X,
        y,
        weights(len(X)) if weighted else None,
        solver=solver,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=3,
        learning_rate_init=0.05,
        max_iter=60,
    )
    assert_same_way(mine, theirs)
    assert mine.n_iter_ < 60


SETTINGS = {
    "order": {"shuffle": False},
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "full momentum": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 1e-3},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.3,
        "n_iter_no_change": 1,
        "tol": 0.02,
        "max_iter": 60,
    },
    "adam ignores schedules": {"learning_rate": "invscaling"},
    "betas": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "no penalty": {"alpha": 0.0},
    "strong penalty": {"alpha": 30.0},
    "one batch": {"batch_size": 300},
    "single rows": {"batch_size": 1, "max_iter": 2},
    "batch size by itself": {"batch_size": "auto"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "deep": {"hidden_layer_sizes": (8, 5, 4)},
    "a number of units": {"hidden_layer_sizes": 7},
    "sizes as an array": {"hidden_layer_sizes": np.array([4, 3])},
    "until it stops": {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 500},
    "never stops": {"tol": 10.0, "n_iter_no_change": np.inf},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["classes", "number"])
def test_every_setting(kind, name):
    X, y = task(kind)
    options = {"learning_rate_init": 0.02, **SETTINGS[name]}
    mine, theirs = fit(kind, X, y, **options)
    assert_same_way(mine, theirs)
    if name == "adaptive":
        assert len({entry["learning_rate"] for entry in mine.history_}) > 2
        assert mine.n_iter_ < 60


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", ["binary", "counts"])
def test_a_warm_start_goes_on_the_same_way(kind, solver, early_stopping):
    options = {"solver": solver, "warm_start": True, "max_iter": 6}
    mine, theirs = both(kind, early_stopping=early_stopping, **options)
    for seed in range(3):
        X, y = task(kind, n=250 + seed, seed=seed)
        assert_same_way(mine.fit(X, y), theirs.fit(X, y))
        # scikit-learn would go on training the very arrays that it keeps as the best so far.
        theirs.coefs_ = [coef.copy() for coef in theirs.coefs_]
        theirs.intercepts_ = [intercept.copy() for intercept in theirs.intercepts_]


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_goes_on_the_same_way(kind, solver, schedule):
    options = {"solver": solver, "learning_rate": schedule, "n_iter_no_change": 1, "tol": 0.1}
    mine, theirs = both(kind, **options)
    classes = {"classes": np.arange(2 if kind == "binary" else 3)} if kind in CLASSES else {}
    for seed in range(4):
        X, y = task(kind, n=200 - seed, seed=seed)
        for model in (mine, theirs):
            model.partial_fit(X, y, **classes)
        assert_same_way(mine, theirs)


def test_partial_fit_goes_on_from_fit_and_fit_begins_anew():
    X, y = task("classes")
    mine, theirs = fit("classes", X, y, max_iter=3)
    for model in (mine, theirs):
        model.partial_fit(X[:100], y[:100])
    assert_same_way(mine, theirs)
    again = flat(mine.fit(X, y))
    np.testing.assert_array_equal(again, flat(fit("classes", X, y, max_iter=3)[0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lbfgs_takes_the_same_steps(activation, kind):
    X, y = task(kind)
    for weight in (None, weights(len(X))):
        options = {"activation": activation, "solver": "lbfgs", "max_iter": 15, "alpha": 0.1}
        mine, theirs = fit(kind, X, y, weight, **options)
        assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-5)
        assert mine.n_iter_ == theirs.n_iter_
        assert_same_parameters(mine, theirs, 1e-5)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_input_is_trained_on_in_float32(kind, solver):
    X, y = task(kind)
    mine, theirs = fit(kind, X.astype(np.float32), y, solver=solver, learning_rate_init=0.01)
    assert {coef.dtype for coef in (*mine.coefs_, *mine.intercepts_)} == {np.dtype(np.float32)}
    assert_same_way(mine, theirs, rtol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_and_scores_are_the_same(kind):
    X, y = task(kind)
    mine, theirs = fit(kind, X, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(theirs, method):
            ours, expected = (getattr(model, method)(X) for model in (mine, theirs))
            np.testing.assert_allclose(ours, expected, rtol=1e-6)
            assert ours.dtype == expected.dtype
    weight = weights(len(X))
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y))
    assert mine.score(X, y, weight) == pytest.approx(theirs.score(X, y, weight))


def gradient(model, X, y):
    """What one step of gradient descent over all rows takes for the gradient."""
    model.set_params(solver="sgd", momentum=0.0, batch_size=len(X), max_iter=1)
    start, end = (flat(model.set_params(learning_rate_init=r).fit(X, y)) for r in (1e-300, 1.0))
    return start - end


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_several_numbers_a_row_follow_the_gradient_of_the_loss_that_is_reported(alpha):
    """scikit-learn averages the loss over them, but not its gradient (its issue 8349)."""
    X, y = task("numbers", n=40, p=3)
    mine, theirs = both("numbers", activation="tanh", hidden_layer_sizes=(4,), alpha=alpha)
    found = gradient(mine, X, y)
    if alpha == 0.0:
        np.testing.assert_allclose(gradient(theirs, X, y), y.shape[1] * found, rtol=1e-9)
    mine.set_params(learning_rate_init=1e-300).fit(X, y)

    def loss():
        squares = sum(float((coef**2).sum()) for coef in mine.coefs_)
        return (((mine.predict(X) - y) ** 2).mean() + alpha * squares / len(X)) / 2

    assert mine.loss_ == pytest.approx(loss(), rel=1e-12)
    quotients = []
    for array in (*mine.coefs_, *mine.intercepts_):
        for index in np.ndindex(array.shape):
            sides = []
            for step in (1e-5, -2e-5):
                array[index] += step
                sides.append(loss())
            array[index] += 1e-5
            quotients.append((sides[0] - sides[1]) / 2e-5)
    np.testing.assert_allclose(found, quotients, rtol=1e-6, atol=1e-9)
