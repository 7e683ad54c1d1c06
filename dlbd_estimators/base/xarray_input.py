"""Let methods and metrics take xarray objects, and return results with their coordinates.

The methods themselves see rows: Dask arrays, NumPy arrays or pandas frames. So an estimator, a
transformer or a search needs no code of its own for xarray.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from dlbd_estimators.blocks.xarray_rows import Samples, features_of, is_xarray, rows_together

Function = TypeVar("Function", bound=Callable[..., Any])

#: Methods with an argument X.
_METHODS = (
    "fit",
    "partial_fit",
    "fit_transform",
    "transform",
    "inverse_transform",
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score",
)
#: Methods that return a row for each row of X, and the dimension of the columns of this row.
_RESULTS = {
    "fit_transform": "feature",
    "transform": "feature",
    "inverse_transform": "feature",
    "predict": "output",
    "predict_proba": "classes",
    "predict_log_proba": "classes",
    "decision_function": "classes",
}
#: Arguments with one entry for each row.
_ROWS = ("y", "sample_weight", "groups")


class AcceptsXarray:
    """Mixin of estimators whose methods accept xarray objects.

    It wraps the public methods that a subclass defines. A method that is decorated with
    ``available_if`` is no plain function, so :func:`accepts_xarray` has to decorate it, too.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in _METHODS:
            method = vars(cls).get(name)
            if inspect.isfunction(method):
                setattr(cls, name, accepts_xarray(method))
        super().__init_subclass__(**kwargs)


def accepts_xarray(method: Function) -> Function:
    """Let a method of an estimator accept xarray objects, and return results with coordinates.

    Parameters
    ----------
    method : callable
        Method whose first argument is X.

    Returns
    -------
    callable
        The same method. It converts xarray objects to rows, and a result with one row for each
        sample to a DataArray.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(map(is_xarray, (*args, *kwargs.values()))):
            return method(self, *args, **kwargs)
        arguments = _by_name(signature, self, args, kwargs)
        X = arguments.pop("X")
        samples = None
        if is_xarray(X):
            samples, X = features_of(X)
        for name, values in arguments.items():
            if samples is not None and (name in _ROWS or is_xarray(values)):
                arguments[name] = samples.column(name, values)
            elif is_xarray(values):
                _refuse_grids(name, values)
        result = method(self, X, **arguments)
        if samples is None or not _is_dense_array(result):
            return result
        return _labelled(self, method.__name__, samples, result)

    return cast(Function, call)


def accepts_xarray_rows(function: Function) -> Function:
    """Let a metric accept xarray objects as true values, predictions and weights.

    Parameters
    ----------
    function : callable
        Metric whose first two arguments have one entry for each row.

    Returns
    -------
    callable
        The same function. It converts xarray objects to rows.
    """
    signature = inspect.signature(function)
    first, second = list(signature.parameters)[:2]

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not any(map(is_xarray, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        rows = {
            name: arguments[name] for name in (first, second, "sample_weight") if name in arguments
        }
        return function(**{**arguments, **rows_together(rows)})

    return cast(Function, call)


def _by_name(
    signature: inspect.Signature, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return all arguments of a call by their names, without the estimator."""
    arguments: dict[str, Any] = {}
    for name, value in list(signature.bind(estimator, *args, **kwargs).arguments.items())[1:]:
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= value
        else:
            arguments[name] = value
    return arguments


def _is_dense_array(result: Any) -> bool:
    return isinstance(getattr(result, "_meta", result), np.ndarray)


def _refuse_grids(name: str, values: Any) -> None:
    """Refuse an xarray object that is no array of rows, because X is not an xarray object."""
    if hasattr(values, "data_vars") or values.ndim > 2:
        raise TypeError(
            f"{name} is an xarray {type(values).__name__} with the dimensions "
            f"{tuple(values.dims)}, but X is no xarray object, so their rows cannot be matched. "
            f"Pass both as xarray objects."
        )


def _labelled(estimator: Any, method: str, samples: Samples, result: Any) -> Any:
    column_dim = _RESULTS[method]
    labels = None
    if column_dim == "classes":
        labels = getattr(estimator, "classes_", None)
        if labels is None or result.ndim < 2 or len(labels) != result.shape[1]:
            column_dim = "output"
    elif method == "inverse_transform":
        labels = getattr(estimator, "feature_names_in_", None)
    elif column_dim == "feature":
        try:
            labels = estimator.get_feature_names_out()
        except (AttributeError, ValueError):  # a step of the transformer does not name its columns
            labels = None
    return samples.labelled(result, method.removeprefix("fit_"), column_dim, labels)
