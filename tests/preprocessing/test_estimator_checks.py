"""scikit-learn's own checks, which all transformers pass."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from dlbd_estimators.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    SimpleImputer,
    StandardScaler,
)

ESTIMATORS = [
    MaxAbsScaler(),
    MinMaxScaler(clip=True),
    MinMaxScaler(),
    SimpleImputer(),
    SimpleImputer(add_indicator=True, keep_empty_features=True),
    StandardScaler(),
    StandardScaler(with_mean=False),
]


@parametrize_with_checks(ESTIMATORS, xfail_strict=True)
def test_sklearn_check(estimator, check):
    check(estimator)
