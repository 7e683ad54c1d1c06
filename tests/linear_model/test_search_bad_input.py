"""All searches treat bad folds, penalties, scorers and shapes of y as scikit-learn, or advise."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model
from sklearn import model_selection as sklearn_selection
from sklearn.model_selection import PredefinedSplit

import dlbd_estimators
from dlbd_estimators import model_selection

N = 60
SEARCHES = [
    "RidgeCV", "LassoCV", "ElasticNetCV", "LogisticRegressionCV", "RidgeClassifierCV",
    "GridSearchCV", "RandomizedSearchCV",
]  # fmt: skip
L1 = ["LassoCV", "ElasticNetCV"]
LEAST_SQUARES = ["RidgeCV", "RidgeClassifierCV"]
CLASSIFIERS = ["LogisticRegressionCV", "RidgeClassifierCV"]
ANY_GRID = ["GridSearchCV", "RandomizedSearchCV"]
WITH_SCORING = [*LEAST_SQUARES, "LogisticRegressionCV"]
BUILT_IN = [*L1, *WITH_SCORING]
NEW = {"use_legacy_attributes": False, "l1_ratios": (0.0,), "scoring": "neg_log_loss"}


def build(name, package, selection, **given):
    """Return a search of one of the two packages; ``strengths`` are its penalties."""
    strengths = given.pop("strengths", [0.1, 1.0])
    if name in ANY_GRID:
        draws = {"n_iter": len(strengths)} if name == "RandomizedSearchCV" else {}
        return getattr(selection, name)(package.Ridge(), {"alpha": strengths}, **draws, **given)
    if name == "LogisticRegressionCV":
        return package.LogisticRegressionCV(Cs=strengths, **{**NEW, **given})
    return getattr(package, name)(alphas=strengths, **given)


def ours(name, **given):
    return build(name, dlbd_estimators, model_selection, **given)


def from_scikit_learn(name, **given):
    return build(name, linear_model, sklearn_selection, **given)


def rows(name, n_classes=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=N)
    if name in CLASSIFIERS:
        y = np.arange(N) * n_classes // N  # the rows of a class are consecutive
    return X, y


def lazy(*arrays):
    return [da.from_array(array, chunks=(25, *array.shape[1:])) for array in arrays]


def pairs():
    return [(np.arange(30), np.arange(30, 60)), (np.arange(1, 60), np.array([0]))]


def nan_score(*_, **__):
    return np.nan


ONE_ROW = np.minimum(np.arange(N), 3)[::-1] % 4  # folds 0, 1 and 2 have one row
RANGE = r"range \[0.0, inf\)|range \(0.0, inf\]|must be >= 0"
REFUSED = [
    ("more folds than rows", SEARCHES, {"cv": N + 1}, ValueError, "n_splits=61 greater"),
    ("one fold", SEARCHES, {"cv": 1}, ValueError, r"int in the range \[2, inf\)"),
    ("no kind of cv", BUILT_IN, {"cv": "five"}, ValueError, "'cv' parameter .* Got 'five'"),
    ("half a fold", BUILT_IN, {"cv": 2.5}, ValueError, "'cv' parameter .* Got 2.5"),
    ("one row and R2", ["RidgeCV"], {"cv": PredefinedSplit(ONE_ROW)}, ValueError,
     "tests on one row, .*Use scoring='neg_mean_squared_error'"),
    ("negative", BUILT_IN, {"strengths": [1.0, -1.0]}, ValueError, RANGE),
    ("NaN", BUILT_IN, {"strengths": [np.nan]}, ValueError, RANGE),
    ("none", BUILT_IN, {"strengths": []}, ValueError, "non-empty"),
    ("zero", ["LogisticRegressionCV"], {"strengths": [0.0]}, ValueError, RANGE),
    ("zero by leave-one-out", LEAST_SQUARES, {"strengths": [0.0], "cv": None}, ValueError,
     r"range \(0.0, inf\)"),
    ("no number of alphas", L1, {"strengths": 0}, ValueError, r"\[1, inf\) or a non-empty"),
    ("unknown scorer", [*WITH_SCORING, *ANY_GRID], {"scoring": "r3"}, ValueError, "'scoring'"),
    ("a class without training rows", CLASSIFIERS, {"cv": PredefinedSplit(np.arange(N) // 30)},
     ValueError, r"trains on no rows of class .*shuffle=True"),
]  # fmt: skip
ONLY_IN_MEMORY = [
    ("NaN score", WITH_SCORING, {"scoring": nan_score}, ValueError, "split 0 is nan. Use a"),
    ("NaN of leave-one-out", LEAST_SQUARES, {"scoring": nan_score, "cv": None}, ValueError,
     "leave-one-out is nan"),
    ("no probabilities", LEAST_SQUARES, {"scoring": "neg_log_loss"}, ValueError,
     "split 0 cannot be computed: .*predict_proba.* Use a scoring"),
    ("no probabilities, leave-one-out", LEAST_SQUARES, {"scoring": "neg_log_loss", "cv": None},
     ValueError, "leave-one-out cannot be computed: .*predict_proba"),
]  # fmt: skip
ONLY_LAZY = [
    ("rows by position", BUILT_IN, {"cv": sklearn_selection.KFold(3)}, TypeError,
     r"KFold\(n_splits=3.* positions of all rows, but X is lazy. Use a number of folds"),
    ("pairs", BUILT_IN, {"cv": pairs()}, TypeError, r"cv=<list of splits> needs the positions"),
    ("scores by predictions", WITH_SCORING, {"scoring": nan_score}, TypeError,
     "predictions of all rows.* Use"),
]  # fmt: skip


def table(*cases):
    return [
        pytest.param(name, given, error, match, id=f"{what}-{name}")
        for group in cases for what, names, given, error, match in group for name in names
    ]  # fmt: skip


def refuse(data, name, given, error, match):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=match):
            ours(name, **{"cv": 3, **given}).fit(*data)


@pytest.mark.parametrize(("name", "given", "error", "match"), table(REFUSED, ONLY_IN_MEMORY))
def test_bad_input_in_memory_is_refused_with_advice(name, given, error, match):
    n_classes = 3 if "cv" in given else 2
    X, y = rows(name, n_classes)
    if "scoring" in given and name in CLASSIFIERS:
        y = np.arange(N) % 2  # all folds have both classes
    refuse((X, y), name, given, error, match)


@pytest.mark.parametrize(("name", "given", "error", "match"), table(REFUSED, ONLY_LAZY))
def test_bad_input_of_lazy_rows_is_refused_with_advice(name, given, error, match):
    refuse(lazy(*rows(name)), name, given, error, match)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_fold_of_one_row_is_scored_as_scikit_learn_scores_it(name):
    X, y = rows(name)
    if name in CLASSIFIERS:
        y = np.arange(N) // 2 % 2
    given = {"cv": PredefinedSplit(ONE_ROW)}
    if name in ("RidgeCV", *ANY_GRID):
        given["scoring"] = "neg_mean_squared_error"  # R2 of one row is not defined
    expected = from_scikit_learn(name, **given).fit(X, y)
    for data in ((X, y), lazy(X, y)):
        found = ours(name, **given).fit(*data)
        assert chosen(found) == pytest.approx(chosen(expected))


def chosen(search):
    return getattr(search, "alpha_", None) or getattr(search, "C_", None) or search.best_score_


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("cv", [None, 3])
def test_a_column_of_targets_gives_the_shapes_and_warnings_of_scikit_learn(name, cv):
    X, y = rows(name)
    if name in CLASSIFIERS:
        y = np.arange(N) // 2 % 2
    searches, shapes = [], []
    for search in (from_scikit_learn(name, cv=cv), ours(name, cv=cv)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(X, y[:, None])
        searches.append(sorted({(w.category.__name__, str(w.message)) for w in caught}))
        shapes.append(shapes_of(search))
    assert searches[0] == searches[1]
    assert shapes[0] == shapes[1]
    found = ours(name, cv=3).fit(*lazy(X, y[:, None]))
    flat = ours(name, cv=3).fit(*lazy(X, y))
    assert shapes_of(found) == shapes[0]
    np.testing.assert_array_equal(coef_of(found).ravel(), coef_of(flat).ravel())


def coef_of(search):
    return getattr(search, "best_estimator_", search).coef_


def shapes_of(search):
    model = getattr(search, "best_estimator_", search)
    return np.shape(model.coef_), np.shape(model.intercept_)


@pytest.mark.parametrize("name", ANY_GRID)
def test_candidates_out_of_range_and_scores_of_nan_fail_as_in_scikit_learn(name):
    X, y = rows(name)
    for given in ({"strengths": [1.0, -1.0]}, {"scoring": nan_score}):
        results = []
        for search in (from_scikit_learn(name, cv=3, **given), ours(name, cv=3, **given)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                search.fit(X, y)
            results.append((search.cv_results_, sorted({w.category.__name__ for w in caught})))
        assert results[0][1] == results[1][1]
        scores = [result["mean_test_score"] for result, _ in results]
        np.testing.assert_allclose(*scores, rtol=1e-9)
