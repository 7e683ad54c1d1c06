"""scikit-learn's linear models and perceptrons for data larger than memory.

The estimators have scikit-learn's names, parameters and answers, and train by passes over
blocks of Dask arrays (or of NumPy arrays, in process):

>>> from dlbd_estimators import LogisticRegression
>>> LogisticRegression(C=10.0)
LogisticRegression(C=10.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlbd_estimators.base.to_sklearn import to_sklearn
    from dlbd_estimators.base.versions import InconsistentVersionWarning
    from dlbd_estimators.linear_model.elastic_net import ElasticNet, Lasso
    from dlbd_estimators.linear_model.linear import LinearRegression, Ridge
    from dlbd_estimators.linear_model.logistic import LogisticRegression
    from dlbd_estimators.linear_model.ridge_cv import RidgeCV
    from dlbd_estimators.neural_network import MLPClassifier, MLPRegressor
    from dlbd_estimators.solvers import SeparableWarning

__version__ = "0.1.0"

__all__ = [
    "ElasticNet",
    "InconsistentVersionWarning",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "Ridge",
    "RidgeCV",
    "SeparableWarning",
    "to_sklearn",
]

_HOME = {
    "ElasticNet": "dlbd_estimators.linear_model.elastic_net",
    "InconsistentVersionWarning": "dlbd_estimators.base.versions",
    "Lasso": "dlbd_estimators.linear_model.elastic_net",
    "LinearRegression": "dlbd_estimators.linear_model.linear",
    "LogisticRegression": "dlbd_estimators.linear_model.logistic",
    "MLPClassifier": "dlbd_estimators.neural_network",
    "MLPRegressor": "dlbd_estimators.neural_network",
    "Ridge": "dlbd_estimators.linear_model.linear",
    "RidgeCV": "dlbd_estimators.linear_model.ridge_cv",
    "SeparableWarning": "dlbd_estimators.solvers",
    "to_sklearn": "dlbd_estimators.base.to_sklearn",
}


def __getattr__(name: str) -> Any:
    # On first use, not on import: a worker unpickles kernels from this package, and
    # scikit-learn would be a quarter of its memory for nothing.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
