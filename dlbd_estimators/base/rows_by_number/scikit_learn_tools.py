"""Let scikit-learn's own tools accept Dask data frames, Zarr arrays and unknown chunk lengths.

``GridSearchCV``, ``cross_val_score``, ``CalibratedClassifierCV`` and similar tools first pass X and
y to ``sklearn.utils.indexable``, and later take rows of its results by number. scikit-learn has no
way to extend that function to other types of data. So this module replaces it by a wrapper. The
wrapper converts lazy data to Dask collections of known length from which rows can be taken by
number (:mod:`dlbd_estimators.base.rows_by_number`), and passes these to scikit-learn's function. It
passes on all other data unchanged.

The wrapper replaces ``indexable``, and not the private function that ``indexable`` calls for X and
for y separately, because rows of X and y have to be counted and cut together. Wrappers replace
three more functions:

- ``_check_method_params``, which selects the rows of weights and other metadata. It is private.
- ``_num_samples``, which fails on unknown chunk lengths. It is private.
- ``check_classification_targets``, which uses a feature of ``np.unique`` that Dask lacks.

Modules of scikit-learn import these functions by name, so the name is replaced in each module. If a
release of scikit-learn lacks one of the functions, it is left out, and tools that need it fail as
they would without this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np
from sklearn.utils import multiclass, validation

Function = Callable[..., Any]


def install() -> None:
    """Replace scikit-learn's functions by the wrappers below, once."""
    replaced: list[tuple[str, Function, Function]] = []
    for (home, name), wrap in _WRAPPERS.items():
        original = getattr(home, name, None)
        if original is not None and not hasattr(original, "_takes_lazy_data"):
            wrapper = wrap(original)
            wrapper._takes_lazy_data = True  # type: ignore[attr-defined]
            replaced.append((name, original, wrapper))
    if replaced:
        _replace(replaced)


def _replace(replaced: list[tuple[str, Function, Function]]) -> None:
    # Modules that are imported later get the wrappers from the modules changed here.
    for path, module in list(sys.modules.items()):
        if path == "sklearn" or path.startswith("sklearn."):
            for name, original, wrapper in replaced:
                if vars(module).get(name) is original:
                    setattr(module, name, wrapper)


def _wrap_indexable(original: Function) -> Function:
    @wraps(original)
    def indexable(*iterables: Any) -> Any:
        if _from_dask_or_zarr(iterables):
            from dlbd_estimators.base.rows_by_number import preparation, thresholds

            thresholds.load_before_thresholds()
            if any(preparation.needs_preparation(value) for value in iterables):
                iterables = tuple(preparation.prepare(iterables))
        return original(*iterables)

    return indexable


def _wrap_check_method_params(original: Function) -> Function:
    @wraps(original)
    def _check_method_params(X: Any, params: Any, indices: Any = None) -> Any:
        if params and _from_dask_or_zarr(params.values()):
            from dlbd_estimators.base.rows_by_number import metadata

            params, others = metadata.prepare_params(X, params, chosen=indices is not None)
            return {**others, **original(X, params, indices)}
        return original(X, params, indices)

    return _check_method_params


def _wrap_num_samples(original: Function) -> Function:
    @wraps(original)
    def _num_samples(x: Any) -> Any:
        if _from_dask_or_zarr([x]):
            from dlbd_estimators.base.rows_by_number import preparation

            if preparation.needs_preparation(x):
                return preparation.count_rows(x)
        return original(x)

    return _num_samples


def _wrap_check_classification_targets(original: Function) -> Function:
    @wraps(original)
    def check_classification_targets(y: Any) -> Any:
        if _from_dask_or_zarr([y]):
            from dlbd_estimators.blocks.sources import is_lazy

            # scikit-learn's function reads all labels in any case.
            y = np.asarray(y) if is_lazy(y) else y
        return original(y)

    return check_classification_targets


_WRAPPERS = {
    (validation, "indexable"): _wrap_indexable,
    (validation, "_check_method_params"): _wrap_check_method_params,
    (validation, "_num_samples"): _wrap_num_samples,
    (multiclass, "check_classification_targets"): _wrap_check_classification_targets,
}


def _from_dask_or_zarr(values: Iterable[Any]) -> bool:
    """Return whether any value is of Dask or Zarr; fast, because scikit-learn calls it often."""
    classes = (cls for value in values for cls in type(value).__mro__)
    return any(cls.__module__.split(".", 1)[0] in ("dask", "zarr") for cls in classes)
