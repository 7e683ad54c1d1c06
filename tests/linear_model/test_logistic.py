"""LogisticRegression against scikit-learn, on every kind of input and of label."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import linear_model
from sklearn.model_selection import GridSearchCV, cross_val_score

from dlbd_estimators import LogisticRegression
from tests.inputs import KINDS, LAZY, as_kind, names

N, P = 700, 4


def data(n_classes=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(N, P)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, -3.0, 10.0]).astype(dtype)
    score = ((X - X.mean(axis=0)) / X.std(axis=0)) @ rng.normal(size=P) + rng.logistic(size=N)
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1] ** 1.3))
    return X, y, rng.integers(0, 4, N).astype(float)


def reference(X, y, weight=None, **options):
    """scikit-learn's model, as near to the minimum as it comes."""
    model = linear_model.LogisticRegression(
        **options, tol=1e-12, solver="newton-cholesky", max_iter=1000
    )
    return model.fit(X, y, weight)


def assert_parity(mine, other, rtol=1e-6):
    scale = np.abs(other.coef_).max()
    np.testing.assert_allclose(mine.coef_, other.coef_, rtol=rtol, atol=rtol * 1e-2 * scale)
    np.testing.assert_allclose(mine.intercept_, other.intercept_, rtol=rtol, atol=rtol * scale)
    np.testing.assert_array_equal(mine.classes_, other.classes_)
    assert mine.coef_.shape == other.coef_.shape
    assert mine.intercept_.shape == other.intercept_.shape
    assert mine.n_iter_.shape == (1,)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("C", [1e-4, 1.0, 1e3, np.inf])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_parity_with_scikit_learn(solver, n_classes, C, fit_intercept, weighted):
    X, y, weight = data(n_classes)
    weight = weight if weighted else None
    mine = LogisticRegression(C=C, fit_intercept=fit_intercept, solver=solver)
    assert_parity(mine.fit(X, y, weight), reference(X, y, weight, C=C, fit_intercept=fit_intercept))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [1e-2, 1.0, np.inf])
def test_gradient_descent_gets_there_too(C, n_classes):
    X, y, weight = data(n_classes)
    mine = LogisticRegression(C=C, solver="gradient_descent", max_iter=5000)
    assert_parity(mine.fit(X, y, weight), reference(X, y, weight, C=C))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", ["balanced", "dict", "part"])
def test_class_weights(class_weight, n_classes, weighted):
    X, y, weight = data(n_classes)
    weight = weight if weighted else None
    if class_weight == "dict":
        class_weight = dict(enumerate([0.5, 3.0, 1.5][:n_classes]))
    elif class_weight == "part":  # the rest weigh one
        class_weight = {1: 7.0}
    mine = LogisticRegression(class_weight=class_weight).fit(X, y, weight)
    assert_parity(mine, reference(X, y, weight, class_weight=class_weight))


def test_class_weights_by_name():
    X, y, _ = data()
    labels = np.array(["no", "yes"])[y]
    mine = LogisticRegression(class_weight={"yes": 3.0, "no": 0.5}).fit(X, labels)
    assert_parity(mine, reference(X, labels, class_weight={"yes": 3.0, "no": 0.5}))


LABELS = {
    "int": np.array([-7, 2, 30]),
    "uint8": np.array([1, 5, 255], dtype=np.uint8),
    "str": np.array(["high", "low", "middle"]),
    "object": np.array(["high", "low", "middle"], dtype=object),
    "float": np.array([-1.0, 0.0, 2.0]),
    "bool": np.array([False, True]),
}


@pytest.mark.parametrize("kind", ["numpy", "pandas", "dask", "filtered", "frame"])
@pytest.mark.parametrize("labels", LABELS)
def test_any_labels(labels, kind):
    alphabet = LABELS[labels]
    X, codes, _ = data(len(alphabet))
    y = alphabet[codes]
    inputs = as_kind(kind, X, y)[:2]
    mine = LogisticRegression().fit(*inputs)
    np.testing.assert_array_equal(mine.classes_, np.unique(y))
    expected = reference(X, codes)
    np.testing.assert_allclose(mine.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
    predicted = mine.predict(inputs[0])
    if kind in LAZY:
        assert isinstance(predicted, da.Array)
        assert predicted.dtype == mine.classes_.dtype
        predicted = predicted.compute()
    np.testing.assert_array_equal(predicted, alphabet[expected.predict(X)])
    assert mine.score(*inputs) == pytest.approx(expected.score(X, codes), abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_input_gives_the_same_model(kind, weighted):
    X, y, weight = data(3)
    weight = weight if weighted else None
    inputs = as_kind(kind, X, y, weight)
    mine = LogisticRegression().fit(*inputs)
    other = reference(X, y, weight)
    assert_parity(mine, other)
    assert mine.n_features_in_ == P
    assert hasattr(mine, "feature_names_in_") == (kind in ("pandas", "frame"))
    score = mine.score(*inputs)
    assert isinstance(score, float)
    assert score == pytest.approx(other.score(X, y, weight), abs=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_lazy_predictions_are_lazy_and_right(method, kind, dtype, n_classes):
    X, y, _ = data(n_classes, dtype=dtype)
    lazy, *_ = as_kind(kind, X, y)
    mine = LogisticRegression(tol=1e-6).fit(
        pd.DataFrame(X, columns=names(P)) if kind == "frame" else X, y
    )
    other = reference(X.astype(np.float64), y)
    other.coef_, other.intercept_ = mine.coef_, mine.intercept_
    predicted = getattr(mine, method)(lazy)
    assert isinstance(predicted, da.Array)
    computed = predicted.compute()
    expected = getattr(other, method)(X.astype(np.float64))
    if method == "predict":
        np.testing.assert_array_equal(computed, expected)
        assert predicted.dtype == computed.dtype == mine.classes_.dtype
    else:
        tolerance = 1e-4 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(computed, expected, rtol=tolerance, atol=tolerance)
        assert predicted.dtype == computed.dtype == dtype
    assert predicted.ndim == computed.ndim == predicted._meta.ndim
    assert predicted.shape[1:] == computed.shape[1:]
    rows = predicted.chunks[0]
    if not np.isnan(rows).any():
        assert predicted.shape == computed.shape
        assert [len(block.compute()) for block in predicted.blocks.ravel()] == list(rows)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eager_predictions(n_classes, dtype):
    X, y, _ = data(n_classes, dtype=dtype)
    model = LogisticRegression().fit(X, y)
    probability = model.predict_proba(X)
    assert probability.shape == (N, n_classes)
    assert probability.dtype == model.decision_function(X).dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=tolerance)
    np.testing.assert_array_equal(model.classes_[probability.argmax(axis=1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probability, atol=tolerance)
    far = model.predict_log_proba(X * 1e5)
    assert np.isfinite(far).all()


def test_models_of_renamed_classes_are_told_apart_in_one_graph():
    """Their coefficients have the same bits; their predictions must not share a name."""
    X, y, _ = data()
    lazy = da.from_array(X, chunks=(100, P))
    first = LogisticRegression().fit(X, y)
    second = LogisticRegression().fit(X, np.array(["no", "yes"])[y])
    np.testing.assert_array_equal(first.coef_, second.coef_)
    numbers, words = dask.compute(first.predict(lazy), second.predict(lazy))
    np.testing.assert_array_equal(np.array(["no", "yes"])[numbers], words)
    assert first.predict(lazy).name == first.predict(lazy).name


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("seed", range(2))
def test_float32_input_gives_the_float64_answer(solver, C, n_classes, seed):
    X, y, weight = data(n_classes, seed=seed, dtype=np.float32)
    narrow = LogisticRegression(C=C, solver=solver).fit(X, y, weight)
    wide = LogisticRegression(C=C, solver=solver).fit(X.astype(np.float64), y, weight)
    assert_parity(narrow, wide, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [1.0, 1e4, np.inf])
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_badly_scaled_columns_with_the_default_tol(solver, C, n_classes):
    X, y, _ = data(n_classes)
    X = (X - X.mean(axis=0)) * [1e-3, 1e3, 1.0, 30.0]
    mine = LogisticRegression(C=C, solver=solver).fit(X, y)
    expected = reference(X, y, C=C).coef_
    if n_classes > 2:  # scikit-learn's drift along the shift common to all classes
        expected = expected - expected.mean(axis=0)
    np.testing.assert_allclose(mine.coef_, expected, rtol=1e-6)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_scaled_feature_divides_its_coefficient(solver, n_classes, scale):
    X, y, _ = data(n_classes)
    X = X - X.mean(axis=0)
    factors = np.array([1.0, scale, 1.0, 1.0 / scale])
    options = {"C": np.inf, "solver": solver, "max_iter": 3000}
    plain = LogisticRegression(**options).fit(X, y)
    scaled = LogisticRegression(**options).fit(X * factors, y)
    np.testing.assert_allclose(scaled.coef_ * factors, plain.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled.intercept_, plain.intercept_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_integer_weight_is_a_row_that_stands_several_times(n_classes):
    X, y, weight = data(n_classes)
    rows = np.repeat(np.arange(N), weight.astype(int))
    for class_weight in (None, "balanced"):
        weighted = LogisticRegression(class_weight=class_weight).fit(X, y, weight)
        repeated = LogisticRegression(class_weight=class_weight).fit(X[rows], y[rows])
        assert_parity(weighted, repeated, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_one_weight_for_all_rows(kind):
    X, y, _ = data()
    inputs = as_kind(kind, X, y)[:2]
    scalar = LogisticRegression(C=0.5).fit(*inputs, sample_weight=4.0)
    assert_parity(scalar, LogisticRegression(C=2.0).fit(X, y), rtol=1e-8)


def test_the_penalty_is_not_on_the_intercept_and_gauges_are_fixed():
    X, y, _ = data(3)
    model = LogisticRegression(C=1e-6).fit(X, y)
    assert np.abs(model.coef_).max() < 1e-2
    share = np.bincount(y) / N
    np.testing.assert_allclose(model.predict_proba(X).mean(axis=0), share, rtol=1e-6)
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0.0, atol=1e-9)
    free = LogisticRegression(C=np.inf).fit(X, y)
    np.testing.assert_allclose(free.coef_.sum(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(free.intercept_.sum(), 0.0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_goes_on_from_the_last_fit():
    X, y, _ = data(3)
    model = LogisticRegression(solver="newton", warm_start=True, max_iter=2).fit(X, y)
    cold = LogisticRegression(solver="newton").fit(X, y)
    for _ in range(3):
        model.fit(X, y)
    assert_parity(model, cold, rtol=1e-8)
    again = model.set_params(max_iter=100).fit(X, y)
    assert again.n_iter_[0] == 1
    with pytest.raises(ValueError, match="warm_start=True, but the last fit had classes"):
        model.fit(X, np.array(["a", "b", "c"])[y])
    with pytest.raises(ValueError, match="warm_start=True, but the last fit"):
        model.fit(X[:, :2], y)
    assert LogisticRegression(solver="newton").fit(X, y).fit(X, y).n_iter_ == cold.n_iter_


@pytest.mark.parametrize("y", ["few", "many"])
def test_many_classes(y, rng):
    """As many as scikit-learn suspects of being a regression when it sees each label once."""
    n_classes = 25
    X = rng.normal(size=(2000, 3))
    labels = rng.integers(0, n_classes, 2000) if y == "many" else np.arange(2000) % n_classes
    model = LogisticRegression(C=0.1).fit(da.from_array(X, chunks=(300, 3)), da.from_array(labels))
    assert len(model.classes_) == n_classes
    assert_parity(model, reference(X, labels, C=0.1))


def test_attributes():
    X, y, _ = data()
    model = LogisticRegression(solver="newton").fit(X, y)
    assert model.solver_ == "newton"
    assert model.n_iter_[0] == len(model.history_)
    assert model.n_passes_ == model.history_[-1]["pass"]
    assert isinstance(model.n_passes_, float)
    assert LogisticRegression().fit(X, y).solver_ in ("newton", "lbfgs")


@pytest.mark.parametrize("option", ["multi_class", "c"])
def test_what_is_not_supported_is_absent(option):
    with pytest.raises(TypeError, match=option):
        LogisticRegression(**{option: 1})


def test_defaults_are_scikit_learns_where_they_mean_the_same():
    mine, theirs = LogisticRegression().get_params(), linear_model.LogisticRegression().get_params()
    for name in ("C", "fit_intercept", "class_weight", "random_state", "max_iter", "warm_start"):
        assert mine[name] == theirs[name]


def test_scikit_learns_model_selection_takes_dask_arrays():
    X, y, _ = data(3)
    lazy, target, _ = as_kind("dask", X, y)
    scores = cross_val_score(LogisticRegression(), lazy, target, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.4
    search = GridSearchCV(LogisticRegression(), {"C": [1e-4, 1.0]}, cv=3).fit(lazy, target)
    assert search.best_params_ == {"C": 1.0}


def test_labels_outside_the_classes_are_wrong_predictions_and_no_error():
    X, y, _ = data()
    model = LogisticRegression().fit(X, y)
    strange = np.where(np.arange(N) < 70, 9, y)
    lazy = model.score(da.from_array(X, chunks=(100, P)), da.from_array(strange, chunks=100))
    assert lazy == pytest.approx(model.score(X, strange))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_sparse_coefficients_predict_the_same(n_classes, rng):
    X = rng.normal(size=(60, 4))
    y = rng.integers(0, n_classes, 60)
    model = LogisticRegression(l1_ratio=1.0, C=0.1).fit(X, y)
    dense, before = model.coef_.copy(), model.decision_function(X)
    assert sparse.issparse(model.sparsify().coef_)
    np.testing.assert_array_equal(model.decision_function(X), before)
    np.testing.assert_array_equal(model.predict(da.from_array(X)).compute(), model.predict(X))
    model.set_params(warm_start=True).fit(X, y)
    model.sparsify()
    np.testing.assert_allclose(model.densify().coef_, dense, atol=1e-9)
