"""scikit-learn's linear models and perceptrons for data larger than memory.

The estimators have scikit-learn's names, parameters and answers, and train by passes over
blocks of Dask arrays (or of NumPy arrays, in process):

>>> from dlbd_estimators import LogisticRegression
>>> LogisticRegression(C=10.0)
LogisticRegression(C=10.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlbd_estimators.version import __version__

if TYPE_CHECKING:
    from dlbd_estimators.base.to_sklearn import to_sklearn
    from dlbd_estimators.base.versions import InconsistentVersionWarning
    from dlbd_estimators.linear_model import (
        ElasticNet,
        Lasso,
        LinearRegression,
        LogisticRegression,
        Ridge,
        SeparableWarning,
    )
    from dlbd_estimators.neural_network import MLPClassifier, MLPRegressor

__all__ = [
    "ElasticNet",
    "InconsistentVersionWarning",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "Ridge",
    "SeparableWarning",
    "__version__",
    "to_sklearn",
]

_HOME = {
    "ElasticNet": "dlbd_estimators.linear_model",
    "InconsistentVersionWarning": "dlbd_estimators.base.versions",
    "Lasso": "dlbd_estimators.linear_model",
    "LinearRegression": "dlbd_estimators.linear_model",
    "LogisticRegression": "dlbd_estimators.linear_model",
    "MLPClassifier": "dlbd_estimators.neural_network",
    "MLPRegressor": "dlbd_estimators.neural_network",
    "Ridge": "dlbd_estimators.linear_model",
    "SeparableWarning": "dlbd_estimators.linear_model",
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
