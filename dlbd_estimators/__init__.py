"""scikit-learn's linear models and perceptrons for data larger than memory.

The estimators have the names, parameters and results of scikit-learn's. They train by passes over
the blocks of Dask arrays, or over NumPy arrays within the process:

>>> from dlbd_estimators import LogisticRegression
>>> LogisticRegression(C=10.0)
LogisticRegression(C=10.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlbd_estimators.base.privacy import DifferentialPrivacy
    from dlbd_estimators.base.saving import load, save
    from dlbd_estimators.base.to_sklearn import to_sklearn
    from dlbd_estimators.base.versions import InconsistentVersionWarning, __version__
    from dlbd_estimators.linear_model import (
        ElasticNet,
        ElasticNetCV,
        Lasso,
        LassoCV,
        LinearRegression,
        LogisticRegression,
        LogisticRegressionCV,
        Ridge,
        RidgeClassifierCV,
        RidgeCV,
        SeparableWarning,
    )
    from dlbd_estimators.neural_network import MLPClassifier, MLPRegressor

__all__ = [
    "DifferentialPrivacy",
    "ElasticNet",
    "ElasticNetCV",
    "InconsistentVersionWarning",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MLPRegressor",
    "Ridge",
    "RidgeCV",
    "RidgeClassifierCV",
    "SeparableWarning",
    "__version__",
    "load",
    "save",
    "to_sklearn",
]

# Modules of the public names that linear_model does not have.
_ELSEWHERE = {
    "DifferentialPrivacy": "base.privacy",
    "InconsistentVersionWarning": "base.versions",
    "MLPClassifier": "neural_network",
    "MLPRegressor": "neural_network",
    "__version__": "base.versions",
    "load": "base.saving",
    "save": "base.saving",
    "to_sklearn": "base.to_sklearn",
}


def __getattr__(name: str) -> Any:
    # Names are imported on first use, not with the package: a worker unpickles kernels from this
    # package without using scikit-learn, which would take a quarter of the worker's memory.
    if name in __all__:
        from importlib import import_module

        module = _ELSEWHERE.get(name, "linear_model")
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
