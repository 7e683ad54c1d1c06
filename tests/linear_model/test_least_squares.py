"""LinearRegression and Ridge against scikit-learn, on every kind of input."""

from __future__ import annotations

import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

import dlbd_estimators
from dlbd_estimators import LinearRegression, LogisticRegression, MLPRegressor, Ridge
from tests.inputs import KINDS, LAZY, as_kind, names

N, P = 600, 4
SOLVERS = ["auto", "gram", "newton", "lbfgs", "gradient_descent"]


def data(seed=0, targets=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(N, P)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, -3.0, 10.0]).astype(dtype)
    Y = X @ rng.normal(size=(P, targets)) + rng.normal(size=(N, targets)) + 5.0
    return X, Y[:, 0] if targets == 1 else Y, rng.integers(0, 4, N).astype(float)


def assert_parity(mine, other, rtol=1e-6):
    scale = np.abs(other.coef_).max()
    np.testing.assert_allclose(mine.coef_, other.coef_, rtol=rtol, atol=rtol * 1e-3 * scale)
    np.testing.assert_allclose(mine.intercept_, other.intercept_, rtol=rtol, atol=rtol)
    assert mine.coef_.shape == other.coef_.shape
    assert np.shape(mine.intercept_) == np.shape(other.intercept_)
    assert mine.coef_.dtype == np.float64


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.0, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("solver", SOLVERS)
def test_parity_with_scikit_learn(solver, alpha, fit_intercept, weighted, targets):
    X, y, weight = data(targets=targets)
    weight = weight if weighted else None
    options = {"fit_intercept": fit_intercept, "solver": solver}
    if alpha is None:
        mine = LinearRegression(**options)
        other = linear_model.LinearRegression(fit_intercept=fit_intercept)
    else:
        mine = Ridge(alpha=alpha, **options)
        other = linear_model.Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
    assert_parity(mine.fit(X, y, weight), other.fit(X, y, weight))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_input_gives_the_same_model(kind, targets, weighted):
    X, y, weight = data(targets=targets)
    inputs = as_kind(kind, X, y, weight if weighted else None)
    mine = Ridge(alpha=3.0).fit(*inputs)
    other = linear_model.Ridge(alpha=3.0, solver="svd").fit(X, y, weight if weighted else None)
    assert_parity(mine, other)
    assert mine.n_features_in_ == P
    assert hasattr(mine, "feature_names_in_") == (kind in ("pandas", "frame"))
    score = mine.score(*inputs)
    assert isinstance(score, float)
    expected = other.score(X, y, weight if weighted else None)
    assert score == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", LAZY)
def test_lazy_predictions_are_lazy_and_right(kind, dtype, targets):
    X, y, _ = data(targets=targets, dtype=dtype)
    lazy, *_ = as_kind(kind, X, y)
    model = Ridge().fit(X, y)
    model.__dict__.pop("feature_names_in_", None)
    if kind == "frame":
        model = Ridge().fit(pd.DataFrame(X, columns=names(P)), y)
    predicted = model.predict(lazy)
    assert isinstance(predicted, da.Array)
    computed = predicted.compute()
    np.testing.assert_allclose(
        computed, X @ model.coef_.T + model.intercept_, rtol=1e-4 if dtype == np.float32 else 1e-12
    )
    assert predicted.dtype == computed.dtype == dtype
    assert predicted.ndim == computed.ndim == y.ndim
    assert predicted._meta.ndim == computed.ndim
    rows = predicted.chunks[0]
    if not np.isnan(rows).any():
        assert predicted.shape == computed.shape
        lengths = [len(block.compute()) for block in predicted.blocks.ravel()]
        assert tuple(lengths[: len(rows)]) == rows


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge()], ids=repr)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_float32_input_gives_the_float64_answer(estimator, fit_intercept, targets, seed):
    X, y, weight = data(seed=seed, targets=targets, dtype=np.float32)
    estimator = clone(estimator).set_params(fit_intercept=fit_intercept)
    narrow = clone(estimator).fit(X, y, weight)
    wide = clone(estimator).fit(X.astype(np.float64), y, weight)
    assert np.linalg.norm(narrow.coef_ - wide.coef_) <= 1e-5 * np.linalg.norm(wide.coef_)
    np.testing.assert_allclose(narrow.coef_, wide.coef_, rtol=1e-4)
    assert narrow.predict(X).dtype == np.float32


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=1e-2)], ids=repr)
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_badly_scaled_columns(estimator, solver):
    X, y, _ = data()
    X = X * [1e-3, 1e3, 1.0, 30.0]
    # scikit-learn's tol is a cut-off of singular values: the default drops the first column.
    other = (
        linear_model.LinearRegression(tol=1e-12)
        if isinstance(estimator, LinearRegression)
        else linear_model.Ridge(alpha=1e-2, solver="svd")
    )
    assert_parity(clone(estimator).set_params(solver=solver).fit(X, y), other.fit(X, y))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_scaled_feature_divides_its_coefficient(solver, scale):
    X, y, _ = data()
    factors = np.array([1.0, scale, 1.0, 1.0 / scale])
    plain = LinearRegression(solver=solver).fit(X, y)
    scaled = LinearRegression(solver=solver).fit(X * factors, y)
    np.testing.assert_allclose(scaled.coef_ * factors, plain.coef_, rtol=1e-6)
    assert scaled.intercept_ == pytest.approx(plain.intercept_, rel=1e-6)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge()], ids=repr)
def test_an_integer_weight_is_a_row_that_stands_several_times(estimator):
    X, y, weight = data()
    rows = np.repeat(np.arange(N), weight.astype(int))
    weighted = clone(estimator).fit(X, y, weight)
    repeated = clone(estimator).fit(X[rows], y[rows])
    assert_parity(weighted, repeated, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [1, 3])
def test_one_weight_for_all_rows(kind, targets):
    X, y, _ = data(targets=targets)
    inputs = as_kind(kind, X, y)[:2]
    scalar = Ridge(alpha=2.0).fit(*inputs, sample_weight=4.0)
    assert_parity(scalar, Ridge(alpha=0.5).fit(X, y), rtol=1e-9)


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet"])
def test_a_column_of_targets_has_scikit_learns_shapes(name):
    X, y, _ = data()
    other = getattr(linear_model, name)().fit(X, y[:, None])
    for inputs in ((X, y[:, None]), as_kind("dask", X, y[:, None])[:2]):
        model = getattr(dlbd_estimators, name)().fit(*inputs)
        assert model.coef_.shape == other.coef_.shape
        assert model.intercept_.shape == other.intercept_.shape
        assert model.predict(X).shape == other.predict(X).shape
        assert np.asarray(model.predict(inputs[0])).shape == other.predict(X).shape
        assert model.score(*inputs) == pytest.approx(other.score(X, y[:, None]), abs=1e-3)
        again = model.set_params(max_iter=50).fit(*inputs)
        assert again.coef_.shape == other.coef_.shape


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet"])
def test_attributes_of_one_target_are_numpy_floats(name):
    X, y, _ = data()
    model = getattr(dlbd_estimators, name)().fit(X, y)
    assert isinstance(model.intercept_, np.float64)
    if hasattr(model, "dual_gap_"):
        assert isinstance(model.dual_gap_, np.float64)


def test_attributes_of_a_direct_fit():
    X, y, _ = data()
    mine, other = LinearRegression().fit(X, y), linear_model.LinearRegression().fit(X, y)
    assert mine.solver_ == "gram"
    assert mine.n_passes_ == 1
    assert isinstance(mine.n_passes_, float)
    assert mine.rank_ == other.rank_ == P
    np.testing.assert_allclose(mine.singular_, other.singular_, rtol=1e-9)
    assert mine.n_iter_ == len(mine.history_) == 1
    residual = y - mine.predict(X)
    assert mine.history_[0]["loss"] == pytest.approx(np.mean(residual**2) / 2)
    assert Ridge(fit_intercept=False).fit(X, y).intercept_ == 0.0


@pytest.mark.parametrize("model", [LinearRegression, Ridge])
@pytest.mark.parametrize("option", ["normalize", "max_iterations", "l1_ratio"])
def test_what_is_not_supported_is_absent(model, option):
    with pytest.raises(TypeError, match=option):
        model(**{option: 1})


def test_our_own_parameters_are_named():
    with pytest.raises(TypeError, match="positional"):
        LinearRegression(True)
    with pytest.raises(TypeError, match="positional"):
        Ridge(1.0, True)


def test_a_second_fit_forgets_the_first():
    X, y, _ = data()
    frame = pd.DataFrame(X, columns=names(P))
    model = LinearRegression().fit(frame, y)
    assert list(model.feature_names_in_) == names(P)
    model.fit(X[:, :2], y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 2
    model.set_params(solver="newton").fit(X, y)
    assert model.solver_ == "newton"


def holds(value, module, seen=None):
    """Whether an object holds, at any depth, something of a module."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return False
    seen.add(id(value))
    if type(value).__module__.split(".")[0] == module:
        return True
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, list | tuple | set):
        parts = list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
        if isinstance(value, np.ndarray):
            parts += [value.base] if value.base is not None else []
            parts += list(value.flat) if value.dtype == object else []
    return any(holds(part, module, seen) for part in parts)


MODELS = [LinearRegression(), Ridge(), LogisticRegression(), LogisticRegression(solver="lbfgs")]


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("kind", ["dask", "frame"])
def test_a_fitted_model_holds_nothing_lazy(model, kind):
    X, y, _ = data()
    model = clone(model).fit(*as_kind(kind, X, (y > y.mean()).astype(int)))
    assert not holds(model.__dict__, "dask")
    assert not holds(model.__dict__, "distributed")
    assert len(pickle.dumps(model)) < 20_000


SCRIPT = """
import pickle, sys
import numpy as np
model, X, expected = pickle.load(sys.stdin.buffer)
np.testing.assert_array_equal(model.predict(X), expected)
assert "distributed" not in sys.modules, "distributed was imported"
"""


@pytest.mark.parametrize("model", MODELS[1:3], ids=repr)
def test_a_pickled_model_predicts_in_a_process_without_a_cluster(model):
    X, y, _ = data()
    model = clone(model).fit(*as_kind("dask", X, (y > y.mean()).astype(int)))
    subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        input=pickle.dumps((model, X, model.predict(X))),
        check=True,
        timeout=240,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_clones_and_pickles(model):
    X, y, _ = data()
    y = (y > y.mean()).astype(int)
    fitted = clone(model).fit(X, y)
    assert clone(fitted).get_params() == model.get_params()
    assert not hasattr(clone(fitted), "coef_")
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(clone(fitted).fit(X, y).coef_, fitted.coef_)


def test_scikit_learns_model_selection_takes_dask_arrays():
    X, y, _ = data()
    lazy, target, _ = as_kind("dask", X, y)
    scores = cross_val_score(Ridge(), lazy, target, cv=3)
    np.testing.assert_allclose(scores, cross_val_score(Ridge(), X, y, cv=3), rtol=1e-9)
    search = GridSearchCV(Ridge(), {"alpha": [1e-2, 1e3]}, cv=3).fit(lazy, target)
    assert search.best_params_ == {"alpha": 1e-2}


@pytest.mark.usefixtures("client")
def test_the_cluster_takes_every_lazy_kind():
    X, y, weight = data()
    expected = Ridge().fit(X, y, weight)
    for kind in LAZY:
        if kind == "zarr":  # in this process's memory
            continue
        inputs = as_kind(kind, X, y, weight)
        model = Ridge().fit(*inputs)
        assert_parity(model, expected, rtol=1e-9)
        np.testing.assert_allclose(
            model.predict(inputs[0]).compute(), expected.predict(X), rtol=1e-9
        )
        assert model.score(*inputs) == pytest.approx(expected.score(X, y, weight))


@pytest.mark.parametrize("model", [LinearRegression(), MLPRegressor(max_iter=2)])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_score_of_a_single_row_is_not_a_number(model, rng):
    X = rng.normal(size=(40, 2))
    y = X @ [1.0, 2.0]
    model = clone(model).fit(X, y)
    for rows in (X[:1], da.from_array(X[:1], chunks=1)):
        with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
            assert np.isnan(model.score(rows, y[:1]))
    lazy = da.from_array(X[:2], chunks=1)
    assert model.score(lazy, y[:2]) == pytest.approx(model.score(X[:2], y[:2]))
