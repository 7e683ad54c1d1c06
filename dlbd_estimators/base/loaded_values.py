"""Check that the fitted attributes of a loaded model fit together, before anything uses them.

The checksum of a file only shows that the file did not change. Somebody can make a file with a
right checksum whose arrays no fit returns. It could give wrong predictions without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: No counter reaches this number. Above it, a float cannot hold each integer.
_MOST = 2**53


def check_counts(model: Any) -> None:
    """Check the parameters' presence, and the attributes that count something.

    Parameters
    ----------
    model : estimator
        The model, as it was read.

    Raises
    ------
    AttributeError
        A parameter is missing.
    ValueError
        An attribute such as ``n_features_in_`` is not a count.
    """
    held = vars(model)
    model.get_params(deep=False)  # reads all parameters
    for name, value in held.items():
        if name.startswith("n_") and name.endswith("_") and value is not None:
            counts = np.asarray(value)
            if counts.dtype.kind not in "iuf" or not ((counts >= 0) & (counts < _MOST)).all():
                raise ValueError(f"{name} is {value!r:.50}, which is not a count")
    if "n_features_in_" in held and type(held["n_features_in_"]) is not int:
        raise ValueError(f"n_features_in_ is {held['n_features_in_']!r:.50}, not an integer")
    names = held.get("feature_names_in_")
    if names is not None and np.shape(names) != (held.get("n_features_in_"),):
        raise ValueError(f"feature_names_in_ has shape {np.shape(names)}")


def check_coefficients(model: Any) -> None:
    """Check ``coef_``, ``intercept_`` and ``classes_`` of a linear model, if it is fitted.

    Parameters
    ----------
    model : estimator
        The model, as it was read.

    Raises
    ------
    ValueError
        One of them is missing, not finite, or has a wrong shape or dtype.
    """
    held = vars(model)
    if not held.keys() & {"coef_", "intercept_"}:
        return
    n_features = _needed(model, "n_features_in_")
    coef = _needed(model, "coef_")
    if sparse.issparse(coef):
        _check_floats("coef_", coef.data)
    else:
        _check_floats("coef_", coef)
    if coef.ndim not in (1, 2) or coef.shape[-1] != n_features or not coef.shape[0]:
        raise ValueError(f"coef_ has shape {coef.shape} for {n_features} features")
    n_outputs = 1 if coef.ndim == 1 else coef.shape[0]
    intercept = np.asarray(_needed(model, "intercept_"))
    _check_floats("intercept_", intercept)
    if intercept.shape not in ((), (n_outputs,)) or (
        intercept.shape == () and coef.ndim == 2 and intercept != 0
    ):
        raise ValueError(f"intercept_ has shape {intercept.shape} for {n_outputs} outputs")
    if "classes_" in held:
        check_classes(model, 2 if n_outputs == 1 else n_outputs)


def check_classes(model: Any, *n_classes: int) -> None:
    """Check that ``classes_`` of a classifier has the right number of labels.

    Parameters
    ----------
    model : estimator
        The model, as it was read.
    *n_classes : int
        The numbers of labels that are right.

    Raises
    ------
    ValueError
        It has another number of labels, or not one of each.
    """
    classes = model.classes_
    if not isinstance(classes, np.ndarray) or classes.shape not in [(n,) for n in n_classes]:
        raise ValueError(f"classes_ has shape {np.shape(classes)}, not {n_classes}")
    if len({*classes.tolist()}) < len(classes):
        raise ValueError("classes_ are not distinct")


def check_layers(coefs: Any, intercepts: Any, units: Sequence[int]) -> None:
    """Check the coefficients of a network, layer by layer.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        Coefficients and intercepts of the layers.
    units : sequence of int
        Number of units of each layer, from the features to the outputs.

    Raises
    ------
    ValueError
        They are not finite, or have wrong shapes or dtypes.
    """
    if not (len(coefs) == len(intercepts) == len(units) - 1):
        raise ValueError(f"it has {len(coefs)} layers of coefficients for {len(units)} layers")
    for number, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        _check_floats(f"coefs_[{number}]", coef)
        _check_floats(f"intercepts_[{number}]", intercept)
        if coef.shape != tuple(units[number : number + 2]) or intercept.shape != coef.shape[1:]:
            raise ValueError(
                f"layer {number} has coefficients of shape {coef.shape} and intercepts of shape "
                f"{intercept.shape}, for {units[number]} and {units[number + 1]} units"
            )


def check_columns(model: Any, names: Sequence[str]) -> None:
    """Check attributes that have a float for each feature, such as ``mean_``.

    NaN is right for a column without values. It must be NaN in all these attributes.

    Parameters
    ----------
    model : estimator
        The model, as it was read.
    names : sequence of str
        Names of the attributes; they may be None or missing.

    Raises
    ------
    ValueError
        One of them has infinities, or a wrong shape or dtype; or some have NaN where others do not.
    """
    vectors = {name: vars(model)[name] for name in names if vars(model).get(name) is not None}
    gaps: NDArray[np.bool_] | None = None
    for name, vector in vectors.items():
        n_features = _needed(model, "n_features_in_")
        if not isinstance(vector, np.ndarray) or vector.dtype.kind != "f":
            raise ValueError(f"{name} is not an array of floats")
        if vector.shape != (n_features,):
            raise ValueError(f"{name} has shape {vector.shape} for {n_features} features")
        missing = np.isnan(vector)
        gaps = missing if gaps is None else gaps
        if np.isinf(vector).any() or not np.array_equal(missing, gaps):
            raise ValueError(f"{name} has values that are not finite")


def check_fill(model: Any) -> None:
    """Check ``statistics_`` of an imputer, if it is fitted.

    Parameters
    ----------
    model : SimpleImputer
        The imputer, as it was read.

    Raises
    ------
    ValueError
        There is not one value for each feature, or one is infinite.
    """
    if "statistics_" in vars(model):
        statistics, n_features = model.statistics_, _needed(model, "n_features_in_")
        if np.shape(statistics) != (n_features,):
            raise ValueError(f"statistics_ has shape {np.shape(statistics)}, not ({n_features},)")
        if statistics.dtype.kind not in {"f", "O", model._fit_dtype.kind}:
            raise ValueError(f"statistics_ are {statistics.dtype}")
        if statistics.dtype.kind == "f" and np.isinf(statistics).any():
            raise ValueError("statistics_ has infinite values")


def check_categories(model: Any) -> None:
    """Check ``categories_`` of an encoder, if it is fitted.

    Parameters
    ----------
    model : estimator
        The model, as it was read.

    Raises
    ------
    ValueError
        There is not one list of distinct categories for each feature.
    """
    if "categories_" not in vars(model):
        return
    n_features, categories = _needed(model, "n_features_in_"), model.categories_
    if not isinstance(categories, list) or len(categories) != n_features:
        raise ValueError(f"categories_ are not those of {n_features} features")
    for number, values in enumerate(categories):
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise ValueError(f"categories_[{number}] is not an array of one axis")
        # As texts, because None and NaN may be categories, and NaN differs from itself.
        if len({(type(value), str(value)) for value in values.tolist()}) < len(values):
            raise ValueError(f"categories_[{number}] are not distinct")


def _needed(model: Any, name: str) -> Any:
    if name not in vars(model):
        raise ValueError(f"{type(model).__name__} lacks {name}")
    return vars(model)[name]


def _check_floats(name: str, values: Any) -> None:
    array = np.asarray(values)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} is not an array of finite floats")
