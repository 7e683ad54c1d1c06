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

# Where a name that is no linear model's comes from.
_ELSEWHERE = {
    "InconsistentVersionWarning": "base.versions",
    "MLPClassifier": "neural_network",
    "MLPRegressor": "neural_network",
    "__version__": "base.versions",
    "load": "base.saving",
    "save": "base.saving",
    "to_sklearn": "base.to_sklearn",
}


def __getattr__(name: str) -> Any:
    # On first use, not on import: a worker unpickles kernels from this package, and
    # scikit-learn would be a quarter of its memory for nothing.
    if name in __all__:
        from importlib import import_module

        home = _ELSEWHERE.get(name, "linear_model")
        return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
