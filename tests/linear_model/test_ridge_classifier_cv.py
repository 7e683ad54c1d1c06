"""RidgeClassifierCV chooses what scikit-learn's does, in two passes."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.metrics import accuracy_score, make_scorer

from dlbd_estimators import RidgeClassifierCV
from dlbd_estimators.kernels.one_versus_rest import to_codes, to_signs
from dlbd_estimators.model_selection import KFold

N = 120
ALPHAS = [0.01, 1.0, 100.0]


def data(rng, n_classes):
    Z = rng.normal(size=(N, 4))
    score = Z @ [1.0, 2.0, -1.0, 0.5] + rng.normal(size=N)
    codes = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    return Z * [1.0, 10.0, 0.1, 1.0] + [0.0, 0.0, 0.0, 50.0], np.array(["a", "b", "c"])[codes]


PARAMETERS = [
    {}, {"cv": 3}, {"cv": 3, "scoring": "balanced_accuracy"}, {"fit_intercept": False},
    {"cv": 3, "fit_intercept": False}, {"class_weight": "balanced", "cv": 3},
    {"class_weight": {"a": 3.0}}, {"store_cv_results": True},
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("given", PARAMETERS, ids=str)
def test_the_choice_is_scikit_learns(given, n_classes, weighted, rng):
    X, y = data(rng, n_classes)
    weight = rng.uniform(0.5, 2.0, N) if weighted else None
    ours = RidgeClassifierCV(ALPHAS, **given).fit(X, y, sample_weight=weight)
    theirs = linear_model.RidgeClassifierCV(ALPHAS, **given).fit(X, y, sample_weight=weight)
    for name in ("alpha_", "best_score_", "coef_", "intercept_", "classes_"):
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert np.shape(found) == np.shape(expected), name
        if name != "classes_":
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8, err_msg=name)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-7)
    np.testing.assert_array_equal(ours.to_sklearn().predict(X), theirs.predict(X))
    assert not hasattr(ours, "predict_proba")
    if "store_cv_results" in given:
        np.testing.assert_allclose(ours.cv_results_, theirs.cv_results_, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_leave_one_out_by_a_scorer(n_classes, rng):
    X, y = (each[:30] for each in data(rng, n_classes))
    ours = RidgeClassifierCV(ALPHAS, scoring="accuracy", store_cv_results=True).fit(X, y)
    right, kept = [], np.arange(30)
    for alpha in ALPHAS:
        model = linear_model.RidgeClassifier(alpha)
        told = [model.fit(X[kept != i], y[kept != i]).predict(X[i : i + 1])[0] for i in kept]
        right.append(accuracy_score(y, told))
    assert ours.best_score_ == pytest.approx(max(right))
    assert ours.alpha_ == ALPHAS[int(np.argmax(right))]
    assert ours.cv_results_.shape == (30, 1 if n_classes == 2 else 3, 3)


@pytest.mark.parametrize("cv", [None, KFold(3, shuffle=True, random_state=0), np.arange(N) % 3])
def test_lazy_rows_are_read_twice_and_chosen_alike(cv, rng):
    X, y = data(rng, 3)
    weight = rng.integers(0, 3, N).astype(float)
    lazy = [da.from_array(each, chunks=(50, *each.shape[1:])) for each in (X, y, weight)]
    ours = RidgeClassifierCV(ALPHAS, cv=cv).fit(*lazy)
    assert ours.n_passes_ == 2.0
    if isinstance(cv, KFold):
        cv = list(cv.split(lazy[0]))
    alike = RidgeClassifierCV(ALPHAS, cv=cv).fit(X, y, weight)
    assert ours.alpha_ == alike.alpha_
    assert ours.best_score_ == pytest.approx(alike.best_score_)
    np.testing.assert_allclose(ours.coef_, alike.coef_, rtol=1e-9)
    assert ours.score(*lazy) == pytest.approx(alike.score(X, y, weight))


def test_what_is_wrong_is_said(rng):
    X, y = data(rng, 2)
    lazy = [da.from_array(each, chunks=(50, *each.shape[1:])) for each in (X, y)]
    with pytest.raises(TypeError, match="needs the predictions of all rows"):
        RidgeClassifierCV(scoring="accuracy").fit(*lazy)
    with pytest.raises(TypeError, match="needs the predictions of all rows"):
        RidgeClassifierCV(scoring=make_scorer(accuracy_score), cv=3).fit(*lazy)
    with pytest.raises(TypeError, match="store_cv_results=True keeps a value of each row"):
        RidgeClassifierCV(store_cv_results=True).fit(*lazy)
    with pytest.raises(ValueError, match="incompatible"):
        RidgeClassifierCV(store_cv_results=True, cv=3).fit(X, y)
    with pytest.raises(ValueError, match="alphas"):
        RidgeClassifierCV([0.0]).fit(X, y)
    with pytest.raises(ValueError, match="trains on no rows of class 'a'"):
        RidgeClassifierCV(cv=np.arange(N) // 60).fit(X, np.where(np.arange(N) < 9, "a", "b"))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(2, 4))
def test_signs_tell_the_classes(codes, n_classes):
    codes = np.minimum(codes, n_classes - 1)
    signs = to_signs(codes, n_classes)
    assert signs.shape == (len(codes), n_classes if n_classes > 2 else 1)
    assert set(np.unique(signs)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(to_codes(signs), codes)
    if n_classes > 2:
        np.testing.assert_array_equal(signs.sum(axis=1), 2.0 - n_classes)
