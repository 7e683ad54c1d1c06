"""Check the steps of a ColumnTransformer on lazy data, and what they return."""

from __future__ import annotations

import inspect
from typing import Any

import scipy.sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from dlbd_estimators import preprocessing
from dlbd_estimators.blocks.sources import is_lazy


def refuse_eager(name: str, transformer: Any) -> None:
    """Raise a TypeError for a transformer that would load lazy data into memory."""
    if isinstance(transformer, str):
        return
    if isinstance(transformer, Pipeline):
        for inner, step in transformer.steps:
            if step is not None:
                refuse_eager(f"{name}, {inner}", step)
        return
    if isinstance(transformer, FrozenEstimator):
        refuse_eager(name, transformer.estimator)
        return
    cls = type(transformer)
    methods = (inspect.getattr_static(cls, each, None) for each in ("fit", "transform"))
    if not any(getattr(each, "__module__", "").startswith("sklearn.") for each in methods):
        return
    if cls.__name__ in preprocessing.__all__:
        instead = f"Use dlbd_estimators.preprocessing.{cls.__name__}, which stays lazy."
    elif cls.__name__ in ("ColumnTransformer", "FeatureUnion"):
        instead = "Use dlbd_estimators.compose.ColumnTransformer, which stays lazy."
    else:
        instead = (
            "Wrap it in dlbd_estimators.preprocessing.Blockwise, after fitting it to a sample in "
            "memory if it learns from data."
        )
    raise TypeError(
        f"Step {name!r} is scikit-learn's {cls.__name__}, which would load lazy data into memory. "
        f"{instead}"
    )


def lazy_output(name: str, transformer: Any, X: Any) -> Any:
    """Transform X, and raise a TypeError if the result is not lazy and dense."""
    output = transformer.transform(X)
    if not is_lazy(output) or output.ndim != 2:
        raise TypeError(
            f"Step {name!r} returned a {type(output).__name__} for lazy data, not a Dask array or "
            f"data frame of two dimensions. Wrap a transformer that works on blocks in "
            f"dlbd_estimators.preprocessing.Blockwise."
        )
    if scipy.sparse.issparse(output._meta):
        raise TypeError(f"Step {name!r} returned sparse blocks. Configure it to return dense ones.")
    return output
