"""Every one of scikit-learn's own checks, for every estimator, with no expected failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from dlbd_estimators import LinearRegression, LogisticRegression, Ridge

ESTIMATORS = [
    LinearRegression(),
    Ridge(),
    LogisticRegression(),
    LogisticRegression(solver="newton"),
    LogisticRegression(solver="lbfgs"),
    Ridge(solver="newton"),
    Ridge(solver="lbfgs"),
]


@parametrize_with_checks(ESTIMATORS, xfail_strict=True)
def test_scikit_learn_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
