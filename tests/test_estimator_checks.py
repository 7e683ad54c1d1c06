"""Every one of scikit-learn's own checks, for every estimator, with no expected failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from dlbd_estimators import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    MLPRegressor,
    Ridge,
    RidgeClassifierCV,
    RidgeCV,
)

ESTIMATORS = [
    LinearRegression(),
    Ridge(),
    LogisticRegression(),
    LogisticRegression(solver="newton"),
    LogisticRegression(solver="lbfgs"),
    Ridge(solver="newton"),
    Ridge(solver="lbfgs"),
    LinearRegression(positive=True),
    Ridge(positive=True),
    Lasso(),
    Lasso(solver="working_set"),
    ElasticNet(),
    LogisticRegression(l1_ratio=0.5),
    MLPClassifier(learning_rate_init=0.02, max_iter=40),
    MLPClassifier(solver="sgd", learning_rate_init=0.2, max_iter=60),
    # Without a penalty L-BFGS separates the checks' classes until probabilities round to 0 and 1.
    # With 1.0 two fits that are compared to 1e-7 differ by 1.1e-7 on some processors.
    MLPClassifier(solver="lbfgs", alpha=3.0),
    MLPRegressor(learning_rate_init=0.02, max_iter=40),
    MLPRegressor(solver="lbfgs"),
    RidgeCV(),
    RidgeCV(cv=2),
    RidgeClassifierCV(),
    RidgeClassifierCV(cv=2),
    LassoCV(),
    ElasticNetCV(cv=2),
    LogisticRegressionCV(Cs=3, cv=2),
]


# Perceptrons are given fewer epochs than by default, and the checks do not wait for convergence.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS, xfail_strict=True)
def test_scikit_learn_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
