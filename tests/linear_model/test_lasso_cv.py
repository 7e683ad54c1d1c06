"""LassoCV and ElasticNetCV choose what scikit-learn's do, by two passes, and prove the model."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import KFold as TheirKFold
from sklearn.model_selection import PredefinedSplit
from sklearn.model_selection import ShuffleSplit as TheirShuffleSplit

import dlbd_estimators
from dlbd_estimators import ElasticNetCV, Lasso, LassoCV
from dlbd_estimators.exceptions import InvalidParameter
from dlbd_estimators.model_selection import KFold

N = 300


def data(rng, n=N):
    """Columns of different units, one far from zero; most do not matter."""
    X = rng.normal(size=(n, 12))
    X[:, :4] = X[:, :4] * [1, 10, 0.1, 1] + [0, 0, 0, 50]
    return X, X[:, :5] @ rng.normal(size=5) + 2.0 * rng.normal(size=n) + 3.0


def theirs(name, given, X, y, weight=None):
    model = getattr(linear_model, name)(**{"tol": 1e-12, "max_iter": 100_000, **given})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of l1_ratio=0
        return model.fit(X, y, sample_weight=weight)


def assert_same(found, expected):
    assert found.alpha_ == pytest.approx(expected.alpha_, rel=1e-9)
    np.testing.assert_allclose(found.alphas_, expected.alphas_, rtol=1e-9)
    np.testing.assert_allclose(found.mse_path_, expected.mse_path_, rtol=1e-6)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=1e-6, atol=1e-6)
    assert np.shape(found.intercept_) == np.shape(expected.intercept_)


CASES = [
    ("LassoCV", {}), ("LassoCV", {"positive": True, "cv": 3}),
    ("LassoCV", {"alphas": [0.1, 1.0, 0.01, 5.0]}),
    ("ElasticNetCV", {}),
    ("ElasticNetCV", {"l1_ratio": [0.1, 0.7, 1.0], "cv": TheirShuffleSplit(3, random_state=0)}),
    ("ElasticNetCV", {"l1_ratio": 0.0, "alphas": [0.1, 1.0]}),
    ("ElasticNetCV", {"l1_ratio": 0.3, "positive": True, "alphas": 20, "eps": 1e-2}),
]  # fmt: skip


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_the_choice_is_scikit_learns(name, given, weighted, fit_intercept, rng):
    X, y = data(rng)
    weight = rng.uniform(0, 2, N) if weighted else None
    given = {"fit_intercept": fit_intercept, **given}
    found = getattr(dlbd_estimators, name)(**given).fit(X, y, sample_weight=weight)
    expected = theirs(name, given, X, y, weight)
    assert_same(found, expected)
    assert found.n_passes_ == 2
    assert found.dual_gap_ <= found.tol * np.var(y)
    if name == "ElasticNetCV":
        assert found.l1_ratio_ == expected.l1_ratio_


@pytest.mark.parametrize("cv", [None, 4, np.arange(N) % 3], ids=["default", "int", "names"])
def test_lazy_rows_are_chosen_as_in_memory(cv, rng):
    X, y = data(rng)
    lazy_X = da.from_array(X, chunks=((100, 0, 50, 150), 5))
    found = LassoCV(cv=cv).fit(lazy_X, da.from_array(y, chunks=70))
    given = {"cv": PredefinedSplit(cv) if isinstance(cv, np.ndarray) else cv}
    assert_same(found, theirs("LassoCV", given, X, y))
    assert found.n_passes_ == 2


def test_our_splitter_chooses_the_rows_that_it_yields(rng):
    X, y = data(rng)
    lazy = da.from_array(X, chunks=(90, -1)), da.from_array(y, chunks=90)
    splitter = KFold(4, shuffle=True, random_state=3)
    found = LassoCV(cv=splitter).fit(*lazy)
    assert_same(found, theirs("LassoCV", {"cv": list(splitter.split(lazy[0]))}, X, y))


def test_the_model_is_that_of_the_chosen_alpha(rng):
    X, y = data(rng)
    found = LassoCV().fit(X, y)
    alone = Lasso(found.alpha_).fit(X, y)
    np.testing.assert_allclose(found.coef_, alone.coef_, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(found.sparse_coef_.toarray()[0], found.coef_)
    assert found.predict(X).shape == y.shape


def test_more_columns_than_rows(rng):
    X = rng.normal(size=(40, 60))
    y = X[:, 0] + 0.1 * rng.normal(size=40)
    found = LassoCV(alphas=15, cv=3).fit(X, y)
    expected = theirs("LassoCV", {"alphas": 15, "cv": 3}, X, y)
    assert found.alpha_ == pytest.approx(expected.alpha_, rel=1e-9)
    np.testing.assert_allclose(found.mse_path_, expected.mse_path_, rtol=1e-4)


def test_no_penalty_is_least_squares(rng):
    X, y = data(rng)
    found = LassoCV(alphas=[0.0, 1e-3]).fit(X, y)
    by_fold = []
    for train, test in TheirKFold(5).split(X):
        fitted = linear_model.LinearRegression().fit(X[train], y[train])
        by_fold.append(np.mean((y[test] - fitted.predict(X[test])) ** 2))
    np.testing.assert_allclose(found.mse_path_[-1], by_fold, rtol=1e-9)


def test_float32_products_are_mended_by_the_proof(rng):
    X, y = data(rng)
    X = X.astype(np.float32)
    found = LassoCV().fit(X, y)
    expected = theirs("LassoCV", {}, X.astype(np.float64), y)
    assert found.alpha_ == pytest.approx(expected.alpha_, rel=1e-6)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-4, atol=1e-5)


def test_a_constant_target_leaves_no_coefficient(rng):
    found = LassoCV(alphas=3, cv=3).fit(rng.normal(size=(30, 2)), np.full(30, 2.0))
    np.testing.assert_array_equal(found.coef_, 0.0)
    assert found.intercept_ == 2.0


def test_a_column_of_targets_is_taken_with_scikit_learns_warning(rng):
    X, y = data(rng)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        found = LassoCV(alphas=5).fit(X, y[:, None])
    np.testing.assert_array_equal(found.coef_, LassoCV(alphas=5).fit(X, y).coef_)


@pytest.mark.parametrize(("given", "error", "match"), [
    ({"alphas": 0}, InvalidParameter, "alphas"),
    ({"alphas": [-1.0]}, InvalidParameter, r"\[0.0, inf\)"),
    ({"l1_ratio": 0.0}, ValueError, "Give the alphas"),
    ({"l1_ratio": [0.5, 2.0]}, InvalidParameter, "l1_ratio"),
    ({"l1_ratio": []}, InvalidParameter, "l1_ratio"),
    ({"eps": 0.0}, InvalidParameter, "eps"),
    ({"selection": "best"}, InvalidParameter, "selection"),
    ({"precompute": "never"}, InvalidParameter, "precompute"),
    ({"cv": 301}, ValueError, "n_splits=301"),
], ids=str)  # fmt: skip
def test_bad_parameters_say_what_to_do(given, error, match, rng):
    X, y = data(rng)
    with pytest.raises(error, match=match):
        ElasticNetCV(**given).fit(X, y)


def test_what_is_not_taken_says_what_to_do(rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match="fit one LassoCV for each target"):
        LassoCV().fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="Pass the splits themselves"):
        LassoCV().fit(X, y, groups=y)
    with pytest.raises(TypeError, match="positions of all rows"):
        LassoCV(cv=TheirKFold(3)).fit(da.from_array(X, chunks=100), da.from_array(y, chunks=100))
