"""Each of scikit-learn's tools on each kind of lazy data: the answer in memory, or an error.

The table is what README and docs/coming-from-scikit-learn.md say; a tool that begins to work, or
to load the data, changes it.
"""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn import model_selection
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union

from dlbd_estimators import LinearRegression, LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.model_selection import KFold, ShuffleSplit
from dlbd_estimators.preprocessing import StandardScaler

assert enable_halving_search_cv

N_ROWS, COLUMNS = 160, list("abcd")
KINDS = ["array", "unknown", "frame", "frame and array", "array and series", "zarr"]
#: For tools beside the most used ones.
SOME_KINDS = ["unknown", "frame and array", "zarr"]
NO_LENGTH = ["unknown", "frame", "frame and array"]
#: Scores and coefficients, of fits to 1e-10; calibrators stop at 1e-5 or so.
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


def rows(target):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 4))
    number = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=N_ROWS)
    match target:
        case "number":
            return X, number
        case "numbers":
            return X, np.stack([number, X[:, 0] - number], axis=1)
        case "two classes":
            return X, (number > 0).astype(int)
        case "three classes":
            return X, np.digitize(number, [-1.0, 1.0])
    raise AssertionError(target)


def as_kind(kind, X, y):
    """X and y as lazy data, y always in other blocks where that is up to us."""
    series = dd.from_pandas(pd.DataFrame(y) if y.ndim == 2 else pd.Series(y), npartitions=5)
    frame = dd.from_pandas(pd.DataFrame(X, columns=COLUMNS), npartitions=5)
    array, target = da.from_array(X, chunks=(50, 4)), da.from_array(y, chunks=(45, *y.shape[1:]))
    match kind:
        case "array":
            return array, target
        case "unknown":
            return frame.to_dask_array(), series.to_dask_array()
        case "frame":
            return frame, series
        case "frame and array":
            return frame, da.from_array(y, chunks=(30, *y.shape[1:]))
        case "array and series":
            return array, series
        case "zarr":
            return stored(X, 50), stored(y, 45)
    raise AssertionError(kind)


def stored(values, n_rows):
    chunks = (n_rows, *values.shape[1:])
    array = zarr.create_array({}, shape=values.shape, dtype=values.dtype, chunks=chunks)
    array[:] = values
    return array


# Each takes X, y and cv, and gives what has to be the same as in memory.


def grid_search(X, y, cv):
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 1e3]}, cv=cv, error_score="raise").fit(X, y)
    return search.cv_results_["mean_test_score"], search.best_estimator_.coef_, search.predict(X)


def grid_search_of_classifiers(X, y, cv):
    grid = {"C": [1e-3, 1.0]}
    search = GridSearchCV(LogisticRegression(), grid, cv=cv, error_score="raise").fit(X, y)
    return search.cv_results_["mean_test_score"], search.best_estimator_.coef_


def grid_search_of_pipelines(X, y, cv):
    pipeline = make_pipeline(StandardScaler(), Ridge())
    grid = {"ridge__alpha": [1.0, 1e3]}
    search = GridSearchCV(pipeline, grid, cv=cv, error_score="raise").fit(X, y)
    return (search.cv_results_["mean_test_score"],)


def randomized_search(X, y, cv):
    draws = {"alpha": [1.0, 1e2, 1e3]}
    search = RandomizedSearchCV(
        Ridge(), draws, n_iter=2, random_state=0, cv=cv, error_score="raise"
    )
    return (search.fit(X, y).cv_results_["mean_test_score"],)


def halving_search(X, y, cv):
    grid = {"alpha": [1.0, 1e2, 1e3]}
    search = HalvingGridSearchCV(Ridge(), grid, random_state=0, cv=cv, error_score="raise")
    return (search.fit(X, y).cv_results_["mean_test_score"],)


def nested_search(X, y, cv):
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 1e3]}, cv=2, error_score="raise")
    return (cross_val_score(search, X, y, cv=cv, error_score="raise"),)


def scores(X, y, cv):
    found = cross_validate(Ridge(), X, y, cv=cv, return_train_score=True, error_score="raise")
    return (
        cross_val_score(Ridge(), X, y, cv=cv, error_score="raise"),
        found["test_score"],
        found["train_score"],
    )


def scores_by_name(X, y, cv):
    scoring = ["roc_auc", "neg_log_loss"]
    found = cross_validate(LogisticRegression(), X, y, cv=cv, scoring=scoring, error_score="raise")
    return found["test_roc_auc"], found["test_neg_log_loss"]


def predictions(X, y, cv):
    return (cross_val_predict(Ridge(), X, y, cv=cv),)


def predicted_probabilities(X, y, cv):
    return (cross_val_predict(LogisticRegression(), X, y, cv=cv, method="predict_proba"),)


def predictions_of_pipelines(X, y, cv):
    return (cross_val_predict(make_pipeline(StandardScaler(), Ridge()), X, y, cv=cv),)


def learning(X, y, cv):
    return learning_curve(Ridge(), X, y, cv=cv, train_sizes=[0.3, 1.0], error_score="raise")


def learning_shuffled(X, y, cv):
    options = {"train_sizes": [0.3, 1.0], "shuffle": True, "random_state": 0}
    return learning_curve(Ridge(), X, y, cv=cv, error_score="raise", **options)


def validation(X, y, cv):
    options = {"param_name": "alpha", "param_range": [1.0, 1e2]}
    return validation_curve(Ridge(), X, y, cv=cv, error_score="raise", **options)


def permutation_test(X, y, cv):
    return permutation_test_score(Ridge(), X, y, cv=cv, n_permutations=2, random_state=0)


def calibrated(X, y, cv):
    model = CalibratedClassifierCV(LogisticRegression(), cv=cv).fit(X, y)
    return model.predict_proba(X), model.predict(X)


def calibrated_isotonic(X, y, cv):
    model = CalibratedClassifierCV(LogisticRegression(), cv=cv, method="isotonic")
    return (model.fit(X, y).predict_proba(X),)


def calibrated_by_temperature(X, y, cv):
    model = CalibratedClassifierCV(LogisticRegression(), cv=cv, method="temperature")
    return (model.fit(X, y).predict_proba(X),)


def calibrated_once(X, y, cv):
    model = CalibratedClassifierCV(LogisticRegression(), cv=cv, ensemble=False)
    return (model.fit(X, y).predict_proba(X),)


def calibrated_by_probabilities(X, y, cv):
    # It has no decision_function. Full batches do not depend on blocks.
    network = MLPClassifier((2,), solver="lbfgs", max_iter=4, random_state=0)
    return (CalibratedClassifierCV(network, cv=cv).fit(X, y).predict_proba(X),)


def one_against_rest(X, y, _cv):
    return (OneVsRestClassifier(LogisticRegression()).fit(X, y).predict(X),)


def multi_output(X, y, _cv):
    return (MultiOutputRegressor(Ridge()).fit(X, y).predict(X),)


def transformed_target(X, y, _cv):
    model = TransformedTargetRegressor(
        Ridge(), func=np.arcsinh, inverse_func=np.sinh, check_inverse=False
    )
    return (model.fit(X, y).predict(X),)


def stacked_regressors(X, y, cv):
    parts = [("one", Ridge()), ("other", LinearRegression())]
    return (StackingRegressor(parts, Ridge(), cv=cv).fit(X, y).predict(X),)


def stacked_classifiers(X, y, cv):
    parts = [("one", LogisticRegression()), ("other", LogisticRegression(C=0.01))]
    model = StackingClassifier(parts, LogisticRegression(), cv=cv).fit(X, y)
    return (model.predict_proba(X),)


def voting_regressors(X, y, _cv):
    parts = [("one", Ridge()), ("other", LinearRegression())]
    return (VotingRegressor(parts).fit(X, y).predict(X),)


def voting_classifiers(X, y, _cv):
    parts = [("one", LogisticRegression()), ("other", LogisticRegression(C=0.01))]
    return (VotingClassifier(parts, voting="soft").fit(X, y).predict(X),)


def pipeline(X, y, _cv):
    return (make_pipeline(StandardScaler(), Ridge()).fit(X, y).predict(X),)


def feature_union(X, y, _cv):
    union = make_union(StandardScaler(), StandardScaler(with_mean=False))
    return (make_pipeline(union, Ridge()).fit(X, y).predict(X),)


def tuned_threshold(X, y, cv):
    model = TunedThresholdClassifierCV(LogisticRegression(), cv=cv, random_state=0)
    return (model.fit(X, y).predict(X),)


def fixed_threshold(X, y, _cv):
    return (FixedThresholdClassifier(LogisticRegression(), threshold=0.3).fit(X, y).predict(X),)


def selected_from_model(X, y, _cv):
    return (SelectFromModel(Ridge()).fit(X, y).get_support(),)


def selected_rows(X, y, _cv):
    return (SelectFromModel(Ridge()).fit(X, y).transform(X),)


def eliminated(X, y, _cv):
    return (RFE(Ridge(), n_features_to_select=2).fit(X, y).support_,)


def eliminated_by_folds(X, y, cv):
    return (RFECV(Ridge(), min_features_to_select=2, cv=cv).fit(X, y).support_,)


def selected_one_by_one(X, y, cv):
    selector = SequentialFeatureSelector(Ridge(), n_features_to_select=2, cv=cv)
    return (selector.fit(X, y).support_,)


def bagged(X, y, _cv):
    return (BaggingRegressor(Ridge(), n_estimators=2, random_state=0).fit(X, y).predict(X),)


def permuted(X, y, _cv):
    model = Ridge().fit(X, y)
    return (permutation_importance(model, X, y, n_repeats=2, random_state=0).importances_mean,)


MOST_USED = [
    (grid_search, "number"),
    (scores, "number"),
    (predictions, "number"),
    (learning, "number"),
    (calibrated, "two classes"),
    (pipeline, "number"),
]
LAZY = [
    (grid_search_of_classifiers, "two classes"),
    (grid_search_of_pipelines, "number"),
    (randomized_search, "number"),
    (halving_search, "number"),
    (nested_search, "number"),
    (scores_by_name, "two classes"),
    (predicted_probabilities, "three classes"),
    (predictions_of_pipelines, "number"),
    (learning_shuffled, "number"),
    (validation, "number"),
    (permutation_test, "number"),
    (calibrated, "three classes"),
    (calibrated_isotonic, "two classes"),
    (calibrated_by_temperature, "two classes"),
    (calibrated_once, "two classes"),
    (calibrated_by_probabilities, "two classes"),
    (one_against_rest, "three classes"),
    (multi_output, "numbers"),
    (transformed_target, "number"),
    (stacked_regressors, "number"),
    (stacked_classifiers, "two classes"),
    (voting_regressors, "number"),
    (voting_classifiers, "two classes"),
    (feature_union, "number"),
    (tuned_threshold, "two classes"),
    (fixed_threshold, "two classes"),
    (selected_from_model, "number"),
]
#: scikit-learn turns X to a NumPy array before it calls us: right, and not for large data.
LOADING = [selected_rows, eliminated, eliminated_by_folds, bagged, permuted]
ERRORS = {
    **{(feature_union, kind): (ValueError, "unknown shape") for kind in NO_LENGTH},
    **{
        (selected_one_by_one, kind): (ValueError, "y and sample_weight are lazy but X is in memory")
        for kind in KINDS
    },
    (permuted, "frame and array"): (TypeError, "Scalar"),
    **{
        (permuted, kind): (TypeError, "y and sample_weight are lazy but X is in memory")
        for kind in ["unknown", "zarr"]
    },
}


@pytest.fixture
def loaded(monkeypatch):
    """Shapes of what is turned to a NumPy array in this process, with all columns of X."""
    shapes = []
    for cls in (da.Array, dd.DataFrame, zarr.Array):
        monkeypatch.setattr(cls, "__array__", noting(cls.__array__, shapes))
    return shapes


def noting(original, shapes):
    def __array__(self, *args, **options):  # noqa: N807 - NumPy's name
        if self.ndim == 2 and self.shape[1] == len(COLUMNS):
            shapes.append(self.shape)
        return original(self, *args, **options)

    return __array__


def check(tool, target, kind, cv, expected_cv=None):
    X, y = rows(target)
    expected = tool(X, y, cv if expected_cv is None else expected_cv)
    for found, known in zip(tool(*as_kind(kind, X, y), cv), expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), known, **CLOSE)


@pytest.mark.parametrize(
    ("tool", "target", "kind"),
    [
        *((*each, kind) for each in MOST_USED for kind in KINDS),
        *((*each, kind) for each in LAZY for kind in SOME_KINDS),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tools_give_what_they_give_in_memory(tool, target, kind, loaded):
    cv = model_selection.KFold(2, shuffle=True, random_state=0)
    if (tool, kind) in ERRORS:
        error, match = ERRORS[tool, kind]
        with pytest.raises(error, match=match):
            tool(*as_kind(kind, *rows(target)), cv)
        return
    check(tool, target, kind, cv)
    assert loaded == []


@pytest.mark.parametrize("kind", SOME_KINDS)
@pytest.mark.parametrize("tool", [*LOADING, selected_one_by_one], ids=lambda each: each.__name__)
@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:X does not have valid feature names")
def test_tools_that_load_the_data(tool, kind, loaded):
    cv = model_selection.KFold(2)
    if (tool, kind) in ERRORS:
        error, match = ERRORS[tool, kind]
        with pytest.raises(error, match=match):
            tool(*as_kind(kind, *rows("number")), cv)
        return
    check(tool, "number", kind, cv)
    assert loaded


SPLITTERS = {
    "3": 3,
    "KFold": model_selection.KFold(3),
    "ShuffleSplit": model_selection.ShuffleSplit(2, random_state=0),
    "our KFold": KFold(3),
    "our shuffled KFold": KFold(3, shuffle=True, random_state=0),
    "our ShuffleSplit": ShuffleSplit(2, test_size=0.3, random_state=0),
}


@pytest.mark.parametrize("kind", SOME_KINDS)
@pytest.mark.parametrize("cv", SPLITTERS)
@pytest.mark.parametrize(
    ("tool", "target"),
    [
        (scores, "number"),
        (predicted_probabilities, "three classes"),
        (calibrated, "two classes"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_tools_take_every_splitter(tool, target, cv, kind, loaded):
    splitter = SPLITTERS[cv]
    if tool is predicted_probabilities and "ShuffleSplit" in cv:
        with pytest.raises(ValueError, match="only works for partitions"):
            tool(*as_kind(kind, *rows(target)), splitter)
        return
    # Our rows depend on how X is cut.
    expected = list(splitter.split(*as_kind(kind, *rows(target)))) if "our" in cv else None
    check(tool, target, kind, splitter, expected)
    assert loaded == []
