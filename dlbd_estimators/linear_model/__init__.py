"""Linear models with scikit-learn's interface, fitted by passes over blocks of rows."""

from __future__ import annotations

from dlbd_estimators.linear_model.coefficient_paths import enet_path, lasso_path
from dlbd_estimators.linear_model.elastic_net import ElasticNet
from dlbd_estimators.linear_model.lasso import Lasso
from dlbd_estimators.linear_model.lasso_cv import ElasticNetCV, LassoCV
from dlbd_estimators.linear_model.linear_regression import LinearRegression
from dlbd_estimators.linear_model.logistic import LogisticRegression
from dlbd_estimators.linear_model.logistic_cv import LogisticRegressionCV
from dlbd_estimators.linear_model.logistic_regression_path import logistic_regression_path
from dlbd_estimators.linear_model.ridge import Ridge
from dlbd_estimators.linear_model.ridge_classifier_cv import RidgeClassifierCV
from dlbd_estimators.linear_model.ridge_cv import RidgeCV
from dlbd_estimators.solvers import SeparableWarning

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Ridge",
    "RidgeCV",
    "RidgeClassifierCV",
    "SeparableWarning",
    "enet_path",
    "lasso_path",
    "logistic_regression_path",
]
