"""scikit-learn's own tools take Dask data frames, Zarr arrays and unknown chunk lengths.

``GridSearchCV``, ``cross_val_score``, ``CalibratedClassifierCV`` and their like pass X and y to
``sklearn.utils.indexable`` before all else, and later take rows of what it returns by their
numbers. scikit-learn offers no way to teach that function a new kind of data. So this module
puts its own in front of it, which turns lazy data into Dask collections that know their lengths
and give rows by number (:mod:`dlbd_estimators.base.by_number`), and calls
scikit-learn's with these. Whatever else comes goes to scikit-learn's function as it is.

It is that function, and not the private one that it calls for X and for y, because X and y have
to be counted and cut together. Three more are treated alike:

- ``_check_method_params``, by which weights and other metadata go. It is private.
- ``_num_samples``, which fails on unknown chunk lengths. It is private.
- ``check_classification_targets``, which asks of ``np.unique`` what Dask's has not.

Modules of scikit-learn hold these functions under names of their own, so each name has to be
replaced. Where a release of scikit-learn lacks one of them, it is left out, and what needed it
fails as it would without this package.
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
    """Put the functions below in front of scikit-learn's, once."""
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
    # Modules that are imported later take the names from those replaced here.
    for path, module in list(sys.modules.items()):
        if path == "sklearn" or path.startswith("sklearn."):
            for name, original, wrapper in replaced:
                if vars(module).get(name) is original:
                    setattr(module, name, wrapper)


def _wrap_indexable(original: Function) -> Function:
    @wraps(original)
    def indexable(*iterables: Any) -> Any:
        if _from_dask_or_zarr(iterables):
            from dlbd_estimators.base.by_number import opening, thresholds

            thresholds.load_before_thresholds()
            if any(opening.needs_opening(each) for each in iterables):
                iterables = tuple(opening.opened(iterables))
        return original(*iterables)

    return indexable


def _wrap_check_method_params(original: Function) -> Function:
    @wraps(original)
    def _check_method_params(X: Any, params: Any, indices: Any = None) -> Any:
        if params and _from_dask_or_zarr(params.values()):
            from dlbd_estimators.base.by_number import metadata

            params, others = metadata.opened_params(X, params, chosen=indices is not None)
            return {**others, **original(X, params, indices)}
        return original(X, params, indices)

    return _check_method_params


def _wrap_num_samples(original: Function) -> Function:
    @wraps(original)
    def _num_samples(x: Any) -> Any:
        if _from_dask_or_zarr([x]):
            from dlbd_estimators.base.by_number import opening

            if opening.needs_opening(x):
                return opening.count_rows(x)
        return original(x)

    return _num_samples


def _wrap_check_classification_targets(original: Function) -> Function:
    @wraps(original)
    def check_classification_targets(y: Any) -> Any:
        if _from_dask_or_zarr([y]):
            from dlbd_estimators.blocks.sources import is_lazy

            # It looks at all labels in any case.
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
    """Tell whether a look at the values is worth while: scikit-learn asks very often."""
    classes = (cls for each in values for cls in type(each).__mro__)
    return any(cls.__module__.split(".", 1)[0] in ("dask", "zarr") for cls in classes)
