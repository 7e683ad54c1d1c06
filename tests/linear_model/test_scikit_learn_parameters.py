"""scikit-learn's parameters: all taken, in its order, with its words for what is wrong."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from sklearn import linear_model, neural_network
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as TheirLogistic
from sklearn.metrics import log_loss

import dlbd_estimators
from dlbd_estimators import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    Ridge,
)
from dlbd_estimators.exceptions import InvalidParameter, ParameterWithoutEffect
from dlbd_estimators.linear_model import ignored_parameters

THEIRS = {
    name: getattr(linear_model, name, None) or getattr(neural_network, name)
    for name in (
        "ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "MLPClassifier",
        "MLPRegressor", "Ridge", "RidgeCV", "RidgeClassifierCV", "LassoCV", "ElasticNetCV",
        "LogisticRegressionCV",
    )
}  # fmt: skip
PERCEPTRON = {"max_iter": 2, "hidden_layer_sizes": 3, "random_state": 0}


@pytest.fixture(autouse=True)
def nothing_warned_yet(monkeypatch):
    """Let each test see the warnings that a process shows only once."""
    monkeypatch.setattr(ignored_parameters, "_warned", set())


@pytest.fixture
def data(rng):
    X = rng.normal(size=(120, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 5.0, 0.0, 1.0]
    y = X @ [1.0, -0.2, 3.0, 0.0] + rng.normal(size=120)
    return X, y, (y > np.median(y)).astype(int)


@pytest.mark.parametrize("name", THEIRS)
def test_all_of_scikit_learns_parameters_in_its_order(name):
    theirs = inspect.signature(THEIRS[name]).parameters
    ours = inspect.signature(getattr(dlbd_estimators, name)).parameters
    shared = [each for each in ours if each in theirs]
    assert shared == list(theirs)
    # What is only here comes last, and by keyword alone: an argument by position means the same.
    assert list(ours)[: len(theirs)] == list(theirs)
    assert all(ours[each].kind is theirs[each].kind for each in theirs)
    assert all(ours[each].kind is inspect.Parameter.KEYWORD_ONLY for each in ours.keys() - theirs)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "score"])
def test_methods_take_what_scikit_learns_take(name, method):
    if not hasattr(THEIRS[name](), method):
        pytest.skip("scikit-learn has none")
    theirs = inspect.signature(getattr(THEIRS[name], method)).parameters
    ours = inspect.signature(getattr(getattr(dlbd_estimators, name), method)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    # The validation rows of networks have the names of HistGradientBoosting, by keyword alone.
    more = {each for each in ours if each not in theirs}
    assert more <= {"X_val", "y_val", "sample_weight_val"}
    assert all(ours[each].kind is inspect.Parameter.KEYWORD_ONLY for each in more)


@pytest.mark.parametrize("name", THEIRS)
def test_defaults_tell_nothing(name, data):
    X, y, labels = data
    theirs = THEIRS[name]()
    given = {**theirs.get_params(), **(PERCEPTRON if name.startswith("MLP") else {})}
    model = getattr(dlbd_estimators, name)(**given)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # two epochs
        model.fit(X, labels if is_classifier(model) else y)


@pytest.mark.parametrize("tol", [1e-4, 1e-2, 1e-8])
@pytest.mark.parametrize("C", [1.0, 1e4])
@pytest.mark.parametrize(
    ("name", "l1_ratio"),
    [
        ("liblinear", 0), ("newton-cg", 0), ("newton-cholesky", 0), ("sag", 0), ("saga", 0),
        ("lbfgs", 0), ("liblinear", 1), ("saga", 1), ("saga", 0.5),
    ],
)  # fmt: skip
def test_solvers_of_logistic_regression_come_at_least_as_low(name, l1_ratio, C, tol, data):
    X, _, y = data
    given = {"solver": name, "C": C, "l1_ratio": l1_ratio, "tol": tol, "fit_intercept": False}
    ours = LogisticRegression(**given).fit(X, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        theirs = TheirLogistic(**given, random_state=0).fit(X, y)

    def problem(model):
        coef = model.coef_
        penalty = l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) * (coef**2).sum() / 2
        return log_loss(y, model.predict_proba(X)) + penalty / C / len(y)

    assert problem(ours) <= problem(theirs) * (1 + 1e-12)
    assert ours.solver_ in {"newton", "lbfgs", "proximal_newton"}


@pytest.mark.parametrize("tol", [1e-4, 1e-2])
@pytest.mark.parametrize("name", ["svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"])
def test_solvers_of_ridge_come_at_least_as_low(name, tol, data):
    X, y, _ = data
    ours = Ridge(solver=name, tol=tol).fit(X, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        theirs = linear_model.Ridge(solver=name, tol=tol, random_state=0).fit(X, y)

    def problem(model):
        return np.sum((y - model.predict(X)) ** 2) + np.sum(model.coef_**2)

    assert problem(ours) <= problem(theirs) * (1 + 1e-12)
    assert ours.solver_ == "gram"


@pytest.mark.parametrize("tol", [1e-4, 1e-2])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.3])
def test_elastic_net_comes_at_least_as_low(l1_ratio, tol, data):
    X, y, _ = data
    given = {"alpha": 0.05, "l1_ratio": l1_ratio, "tol": tol}
    ours = ElasticNet(**given).fit(X, y)
    theirs = linear_model.ElasticNet(**given).fit(X, y)

    def problem(model):
        coef = model.coef_
        penalty = l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) * np.sum(coef**2) / 2
        return np.mean((y - model.predict(X)) ** 2) / 2 + 0.05 * penalty

    assert problem(ours) <= problem(theirs) * (1 + 1e-12)


def test_lbfgs_with_bounds_is_scikit_learns(data):
    X, y, _ = data
    ours = Ridge(solver="lbfgs", positive=True).fit(X, y)
    theirs = linear_model.Ridge(solver="lbfgs", positive=True, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
    assert ours.solver_ == "coordinate_descent"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"solver": "liblinear", "C": np.inf}, "not supported for the liblinear solver"),
        ({"solver": "liblinear", "l1_ratio": 0.5}, "Only 'saga' solver supports elasticnet"),
        ({"solver": "sag", "l1_ratio": 1}, "supports only 'l2' or None penalties, got l1"),
        ({"solver": "newton-cg", "l1_ratio": 0.5}, "supports only 'l2' or None penalties"),
        ({"solver": "saga", "dual": True}, "supports only dual=False, got dual=True"),
    ],
)
def test_what_scikit_learns_solvers_refuse(given, match, data):
    X, _, y = data
    for model in (LogisticRegression(**given), TheirLogistic(**given)):
        with pytest.raises(ValueError, match=match):
            model.fit(X, y)


def test_liblinear_refuses_three_classes(data):
    X, _, y = data
    y = y + (X[:, 0] > 1)
    for model in (LogisticRegression(solver="liblinear"), TheirLogistic(solver="liblinear")):
        with pytest.raises(ValueError, match="does not support multiclass classification"):
            model.fit(X, y)


@pytest.mark.parametrize("solver", ["svd", "saga"])
def test_ridges_solvers_refuse_bounds(solver, data):
    for model in (Ridge, linear_model.Ridge):
        with pytest.raises(ValueError, match="does not support positive fitting"):
            model(solver=solver, positive=True).fit(*data[:2])


@pytest.mark.parametrize(
    "given",
    [
        {"penalty": "l2"}, {"penalty": "l1", "l1_ratio": 1}, {"penalty": "l1"}, {"penalty": None},
        {"penalty": "elasticnet", "l1_ratio": 0.5}, {"penalty": None, "C": 3.0},
        {"penalty": "l2", "l1_ratio": 0.5}, {"l1_ratio": None},
    ],
    ids=str,
)  # fmt: skip
def test_penalties_are_scikit_learns(given, data):
    """Also what is said of them: as many warnings, of the same kinds."""
    X, _, y = data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    said = []
    models = (
        LogisticRegression(**given, solver="saga"),
        TheirLogistic(**given, solver="saga", tol=1e-10, max_iter=100_000, random_state=0),
    )
    for model in models:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            model.fit(X, y)
        said.append([each.category for each in seen])
        if model is models[0]:
            assert {each.filename for each in seen} == {__file__}
    assert said[0] == said[1]
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, atol=1e-6)


def test_elasticnet_needs_a_ratio(data):
    model = LogisticRegression(penalty="elasticnet", solver="saga", l1_ratio=None)
    with (
        pytest.warns(FutureWarning, match="'penalty' was deprecated"),
        pytest.raises(ValueError, match="l1_ratio must be specified"),
    ):
        model.fit(data[0], data[2])


@pytest.mark.parametrize(
    ("model", "name", "category"),
    [
        (LinearRegression(n_jobs=2), "n_jobs", ParameterWithoutEffect),
        (Lasso(selection="random"), "selection", ParameterWithoutEffect),
        (ElasticNet(precompute=np.eye(4)), "precompute", ParameterWithoutEffect),
        (LogisticRegression(n_jobs=2), "n_jobs", FutureWarning),
        (LogisticRegression(intercept_scaling=2.0), "intercept_scaling", ParameterWithoutEffect),
        (
            LogisticRegression(solver="liblinear", dual=True, fit_intercept=False),
            "dual",
            ParameterWithoutEffect,
        ),
        (LogisticRegression(solver="liblinear"), "solver", ParameterWithoutEffect),
    ],
)
def test_what_does_nothing_is_told_once(model, name, category, data):
    X, y, labels = data
    target = labels if hasattr(model, "predict_proba") else y
    with pytest.warns(
        category, match=f"'{name}' has no effect in this {type(model).__name__}"
    ) as seen:
        model.fit(X, target)
    assert [each.filename for each in seen] == [__file__]
    model.fit(X, target)  # warnings are errors


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(copy_X=False, tol=1e-3), Ridge(copy_X=False, random_state=3),
        Lasso(alpha=0.1, copy_X=False, precompute=True, random_state=1),
        ElasticNet(alpha=0.1, precompute=True), Ridge(max_iter=None), Lasso(max_iter=None),
    ],
    ids=str,
)  # fmt: skip
def test_what_leaves_us_free_is_taken_in_silence(model, data):
    X, y, _ = data
    before = X.copy()
    coef = model.fit(X, y).coef_
    np.testing.assert_array_equal(X, before)
    plain = {"alpha": model.alpha} if hasattr(model, "alpha") else {}
    np.testing.assert_allclose(coef, type(model)(**plain).fit(X, y).coef_, rtol=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        Lasso(alpha=0.01, max_iter=1), LogisticRegression(max_iter=1),
        MLPRegressor(max_iter=2, random_state=0), MLPRegressor(max_iter=2, solver="lbfgs"),
    ],
    ids=str,
)  # fmt: skip
def test_warnings_point_to_the_line_that_fits(model, data):
    with pytest.warns(ConvergenceWarning) as seen:
        model.fit(data[0], data[2])
    assert [each.filename for each in seen] == [__file__]


@pytest.mark.parametrize(
    ("solver", "match"),
    [
        ("lbfgs", "lbfgs failed to converge"), ("liblinear", "Liblinear failed to converge, incr"),
        ("newton-cg", "newton-cg failed to converge.* Increase the number of iterations"),
        ("newton-cholesky", "Newton solver did not converge after 1 iterations"),
        ("sag", "The max_iter was reached which means the coef_ did not converge"),
    ],
)  # fmt: skip
def test_warnings_begin_as_scikit_learns_that_people_filter(solver, match, data):
    model = LogisticRegression(solver=solver, max_iter=1, fit_intercept=False)
    with pytest.warns(ConvergenceWarning, match=f"^{match}.*the error bound is"):
        model.fit(data[0], data[2])


def test_no_steps_leave_zeros(data):
    X, _, y = data
    with pytest.warns(ConvergenceWarning, match="max_iter=0"):
        model = LogisticRegression(max_iter=0).fit(X, y)
    assert (model.n_iter_, model.n_passes_, model.history_) == (0, 0, [])
    np.testing.assert_array_equal(model.coef_, np.zeros((1, 4)))
    np.testing.assert_array_equal(model.predict_proba(X), np.full((120, 2), 0.5))
    fitted = LogisticRegression().fit(X, y)
    coef = fitted.coef_.copy()
    with pytest.warns(ConvergenceWarning, match="max_iter=0"):
        fitted.set_params(max_iter=0, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(fitted.coef_, coef)


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(verbose=True), Ridge(verbose=True), Lasso(verbose=True),
        LogisticRegression(verbose=True), MLPClassifier(verbose=True, **PERCEPTRON),
        MLPClassifier(verbose=True, solver="lbfgs", **PERCEPTRON),
        MLPRegressor(verbose=2, solver="lbfgs", **PERCEPTRON),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_verbose_prints(model, data, capsys):
    X, y, labels = data
    model.fit(X, labels if hasattr(model, "predict_proba") else y)
    assert "loss" in capsys.readouterr().out
    model.set_params(verbose=False).fit(X, labels if hasattr(model, "predict_proba") else y)
    assert not capsys.readouterr().out


BAD = [
    ("LinearRegression", "fit_intercept", 1), ("LinearRegression", "copy_X", "no"),
    ("LinearRegression", "n_jobs", 0.5), ("LinearRegression", "tol", -1), ("Ridge", "alpha", -1),
    ("Ridge", "alpha", "1"), ("Ridge", "alpha", None), ("Ridge", "alpha", 1j),
    ("Ridge", "tol", "small"), ("Ridge", "positive", None), ("Ridge", "copy_X", 2),
    ("Ridge", "max_iter", 0), ("Ridge", "max_iter", 1.5), ("Lasso", "alpha", np.nan),
    ("Lasso", "precompute", "auto"), ("Lasso", "max_iter", 0),
    ("ElasticNet", "l1_ratio", 1.5), ("ElasticNet", "warm_start", "yes"),
    ("LogisticRegression", "C", 0), ("LogisticRegression", "C", -np.inf),
    ("LogisticRegression", "l1_ratio", 2), ("LogisticRegression", "dual", 3),
    ("LogisticRegression", "intercept_scaling", 0), ("LogisticRegression", "max_iter", -1),
    ("LogisticRegression", "verbose", -1), ("LogisticRegression", "verbose", "loud"),
    ("LogisticRegression", "tol", np.inf), ("LogisticRegression", "warm_start", 5),
    ("LogisticRegression", "n_jobs", "all"), ("MLPClassifier", "alpha", -1),
    ("MLPClassifier", "learning_rate_init", 0), ("MLPClassifier", "beta_1", 1.0),
    ("MLPClassifier", "momentum", 1.1), ("MLPClassifier", "max_iter", 0),
    ("MLPClassifier", "shuffle", "true"), ("MLPClassifier", "verbose", 1.5),
    ("MLPRegressor", "validation_fraction", 1.0), ("MLPRegressor", "early_stopping", 2),
    ("MLPRegressor", "n_iter_no_change", 0), ("MLPRegressor", "epsilon", -1e-8),
    ("MLPRegressor", "batch_size", 0), ("MLPRegressor", "power_t", -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameter", "value"), BAD)
def test_bad_values_are_refused_in_scikit_learns_words(name, parameter, value, data):
    X, y, labels = data
    target = labels if "Classifier" in name or "Logistic" in name else y
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 - its text is what this is about
        THEIRS[name](**{parameter: value}).fit(X, target)
    with pytest.raises(InvalidParameter) as ours:
        getattr(dlbd_estimators, name)(**{parameter: value}).fit(X, target)
    assert str(ours.value) == str(theirs.value)
    assert isinstance(ours.value, TypeError)  # as scikit-learn's is


@pytest.mark.parametrize("name", ["Ridge", "LogisticRegression", "Lasso", "LinearRegression"])
def test_a_solver_that_does_not_exist_is_refused_with_those_that_do(name, data):
    match = rf"The 'solver' parameter of {name} must be a str among \{{'auto', .*Got 'simplex'"
    with pytest.raises(InvalidParameter, match=match):
        getattr(dlbd_estimators, name)(solver="simplex").fit(data[0], data[2])
