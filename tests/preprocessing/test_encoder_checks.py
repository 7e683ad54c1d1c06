"""scikit-learn's own checks; a ColumnTransformer fails those that scikit-learn's own fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from dlbd_estimators import preprocessing
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.preprocessing import Blockwise, OneHotEncoder, OrdinalEncoder

ESTIMATORS = [
    OneHotEncoder(),
    OrdinalEncoder(),
    Blockwise(FunctionTransformer()),
    Blockwise(StandardScaler()),
    ColumnTransformer([("scaled", preprocessing.StandardScaler(), [0, 1])]),
]
# With the same steps, scikit-learn's class fails exactly these: it leaves X to its steps.
OF_COLUMN_TRANSFORMER = dict.fromkeys(
    [
        "check_complex_data",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
        "check_estimators_empty_data_messages",
        "check_estimators_nan_inf",
        "check_fit1d",
        "check_fit2d_1feature",
        "check_fit2d_predict1d",
    ],
    "scikit-learn's own ColumnTransformer fails it",
)


def expected_failures(estimator: Any) -> dict[str, str]:
    return OF_COLUMN_TRANSFORMER if isinstance(estimator, ColumnTransformer) else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures, xfail_strict=True)
def test_scikit_learn_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
