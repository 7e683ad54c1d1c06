"""scikit-learn's tools as functions of X, y and cv, which give what is the same on lazy data."""

from __future__ import annotations

import numpy as np
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
from dlbd_estimators.preprocessing import StandardScaler

assert enable_halving_search_cv


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
LOADING = [
    selected_rows,
    selected_one_by_one,
    eliminated,
    eliminated_by_folds,
    bagged,
    permuted,
]
