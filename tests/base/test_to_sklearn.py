"""An estimator that left for scikit-learn predicts the same there, and beyond: skops, ONNX."""

from __future__ import annotations

import dask.array as da
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import sklearn.exceptions
import sklearn.impute
import sklearn.linear_model
import sklearn.neural_network
import sklearn.preprocessing
from skl2onnx import to_onnx
from sklearn.pipeline import make_pipeline
from skops import io

from dlbd_estimators import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    preprocessing,
)
from dlbd_estimators.linear_model import ElasticNet, Lasso
from dlbd_estimators.preprocessing import Blockwise, OneHotEncoder, StandardScaler
from tests.inputs import CLASSES, NUMBERS, names, perceptron, task

# Few steps: predictions do not depend on where fits end.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODELS = {
    "linear": (LinearRegression(), "number"),
    "linear, several": (LinearRegression(fit_intercept=False), "numbers"),
    "ridge": (Ridge(alpha=0.3), "number"),
    "ridge, several": (Ridge(alpha=[0.3, 1.0, 2.0]), "numbers"),
    "lasso": (Lasso(alpha=0.01), "number"),
    "elastic net": (ElasticNet(alpha=0.01), "numbers"),
    "logistic": (LogisticRegression(C=3.0, class_weight="balanced"), "binary"),
    "logistic, classes": (LogisticRegression(), "classes"),
    "logistic, sparse": (LogisticRegression(l1_ratio=0.5), "classes"),
    **{
        f"perceptron, {kind}": (perceptron(kind, max_iter=5, early_stopping=kind == "number"), kind)
        for kind in (*CLASSES, *NUMBERS)
    },
}
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def fitted(case, dtype=np.float64):
    model, kind = MODELS[case]
    X, y = task(kind)
    if kind == "classes":
        y = np.array(["cat", "dog", "a bird"])[y]
    lazy = da.from_array(X.astype(dtype), chunks=(100, 5)), da.from_array(y, chunks={0: 100})
    return sklearn.base.clone(model).fit(*lazy), X.astype(dtype)


def methods(model):
    return [each for each in METHODS if hasattr(model, each)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", MODELS)
def test_predictions(case, dtype):
    model, X = fitted(case, dtype)
    left = model.to_sklearn()
    assert type(left).__module__.startswith("sklearn.")
    assert type(left).__name__ == type(model).__name__
    # Ours predict float32 features with float32 coefficients, scikit-learn with float64 ones.
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    for method in methods(left):
        if not hasattr(model, method):
            continue
        found, expected = getattr(left, method)(X), getattr(model, method)(X)
        if method == "predict_log_proba":
            # scikit-learn takes the logarithm of 1 - p, which has few digits near p = 1.
            found, expected = np.exp(found), np.exp(expected)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("case", MODELS)
def test_attributes_and_parameters(case):
    model, X = fitted(case)
    left = model.to_sklearn()
    fresh = type(left)().fit(X, task(MODELS[case][1])[1])
    public = {each for each in vars(fresh) if each.endswith("_")}
    if isinstance(left, sklearn.linear_model.Ridge):
        public.remove("solver_")  # none of scikit-learn's was used
    assert {each for each in vars(left) if each.endswith("_")} == public
    for attribute in public:
        assert type(getattr(left, attribute)) is type(getattr(model, attribute))
    ours = model.get_params()
    for name, value in left.get_params().items():
        if name in ours and name not in ("solver", "tol"):
            assert value == ours[name]


def test_nothing_is_shared():
    model, X = fitted("perceptron, number")
    left = model.to_sklearn()
    before = model.predict(X)
    left.coefs_[0][:] = 0.0
    left.loss_curve_.clear()
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.loss_curve_


@pytest.mark.parametrize("case", MODELS)
def test_it_fits_again(case):
    model, X = fitted(case)
    y = task(MODELS[case][1])[1]
    y = model.classes_[y] if y.ndim == 1 and hasattr(model, "classes_") else y
    left = model.to_sklearn()
    if "warm_start" in left.get_params():
        left.set_params(warm_start=True)
    left.fit(X, y)
    assert np.isfinite(left.score(X, y))


@pytest.mark.parametrize("kind", [*CLASSES, *NUMBERS])
def test_perceptrons_train_on(kind):
    X, y = task(kind)
    left = perceptron(kind, max_iter=5).fit(X, y).to_sklearn()
    n_seen = left.t_
    left.partial_fit(X, y)
    assert left.t_ == n_seen + len(X)


def test_names_of_features():
    X, y = task("number")
    frame = pd.DataFrame(X, columns=names(5))
    left = Ridge().fit(frame, y).to_sklearn()
    np.testing.assert_array_equal(left.feature_names_in_, names(5))
    left.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        left.predict(frame.rename(columns={"feature 0": "other"}))


@pytest.mark.parametrize("case", MODELS)
def test_not_fitted(case):
    with pytest.raises(sklearn.exceptions.NotFittedError):
        sklearn.base.clone(MODELS[case][0]).to_sklearn()


def test_transformers():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, (60, 3)).astype(float)
    for name in set(preprocessing.__all__) - {"Blockwise"}:
        model = getattr(preprocessing, name)()
        with pytest.raises(sklearn.exceptions.NotFittedError):
            model.to_sklearn()
        model.fit(da.from_array(X, chunks=(20, 3)))
        left = model.to_sklearn()
        assert type(left).__module__.startswith("sklearn.")
        assert left.get_params() == model.get_params()
        assert not hasattr(left, "n_passes_")
        found, expected = left.transform(X), model.transform(X)
        if name == "OneHotEncoder":
            found, expected = found.toarray(), expected.toarray()
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(left.get_feature_names_out(), model.get_feature_names_out())


def test_pipeline_of_steps_that_left():
    X, y = task("binary")
    lazy_X, lazy_y = da.from_array(X, chunks=(100, 5)), da.from_array(y, chunks=100)
    ours = make_pipeline(StandardScaler(), LogisticRegression()).fit(lazy_X, lazy_y)
    theirs = make_pipeline(*(step.to_sklearn() for _, step in ours.steps))
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(lazy_X), atol=1e-14)


def test_only_what_has_a_namesake_leaves():
    assert not hasattr(Blockwise(OneHotEncoder()), "to_sklearn")

    class Mine(Ridge):
        pass

    left = Mine().fit(*task("number")).to_sklearn()
    assert type(left) is sklearn.linear_model.Ridge


@pytest.mark.parametrize("case", MODELS)
def test_skops(case, tmp_path):
    model, X = fitted(case)
    io.dump(model.to_sklearn(), tmp_path / "model.skops")
    # Nothing has to be trusted beyond what skops trusts itself.
    assert io.get_untrusted_types(file=tmp_path / "model.skops") == []
    loaded = io.load(tmp_path / "model.skops", trusted=[])
    expected = model.predict(X)
    found = loaded.predict(X)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("case", [each for each in MODELS if not each.endswith("counts")])
def test_onnx(case):
    model, X = fitted(case, np.float32)
    left = model.to_sklearn()
    classifier = hasattr(left, "predict_proba")
    graph = to_onnx(left, X[:1], options={"zipmap": False} if classifier else None)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {session.get_inputs()[0].name: X})
    expected = model.predict(X)
    if classifier:
        np.testing.assert_allclose(found[1], model.predict_proba(X), atol=1e-5)
        np.testing.assert_array_equal(found[0], expected)
    else:
        np.testing.assert_allclose(found[0].reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
