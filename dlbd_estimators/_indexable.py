"""scikit-learn's own tools take Dask data frames, Zarr arrays and unknown chunk lengths.

``GridSearchCV``, ``cross_val_score``, ``CalibratedClassifierCV`` and their like pass X and y to
``sklearn.utils.indexable`` before all else, and later take rows of what it returns by their
numbers. scikit-learn offers no way to teach that function a new kind of data. So this module
puts its own in front of it: one that turns lazy data into Dask collections which know their
lengths and can give rows by number (:mod:`dlbd_estimators.model_selection.by_number`), and calls
scikit-learn's with these. Whatever else comes goes to scikit-learn's function as it is.

It has to be that function, and not one that sees X or y alone, because X and y have to be
counted and cut together. Weights and other metadata go another way, through
``sklearn.utils.validation._check_method_params``, which is private; it is treated alike.

Modules of scikit-learn hold these functions under names of their own, so each name has to be
replaced. Where a release of scikit-learn lacks one of them, it is left out, and what needed it
fails as it would without this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from sklearn.utils import validation

Function = Callable[..., Any]


def install() -> None:
    """Put the functions below in front of scikit-learn's, once."""
    for name, wrap in _WRAPPERS.items():
        original = getattr(validation, name, None)
        if original is not None and not hasattr(original, "_dlbd_estimators"):
            wrapper = wrap(original)
            wrapper._dlbd_estimators = True  # type: ignore[attr-defined]
            _replace(name, original, wrapper)


def _replace(name: str, original: Function, wrapper: Function) -> None:
    # Modules that are imported later take the name from those replaced here.
    for path, module in list(sys.modules.items()):
        if path.split(".")[0] == "sklearn" and vars(module).get(name) is original:
            setattr(module, name, wrapper)


def _wrap_indexable(original: Function) -> Function:
    @wraps(original)
    def indexable(*iterables: Any) -> Any:
        if _any_lazy(iterables):
            from dlbd_estimators.model_selection.by_number import opening

            if any(opening.needs_opening(each) for each in iterables):
                iterables = tuple(opening.opened(iterables))
        return original(*iterables)

    return indexable


def _wrap_check_method_params(original: Function) -> Function:
    @wraps(original)
    def _check_method_params(X: Any, params: Any, indices: Any = None) -> Any:
        if params and _any_lazy(params.values()):
            from dlbd_estimators.model_selection.by_number import metadata

            params, others = metadata.opened_params(X, params)
            return {**others, **original(X, params, indices)}
        return original(X, params, indices)

    return _check_method_params


def _any_lazy(values: Any) -> bool:
    # Cheap, and without Dask: this is asked each time scikit-learn checks anything.
    return any(type(each).__module__.split(".")[0] in ("dask", "zarr", __package__) for each in values)


_WRAPPERS = {
    "indexable": _wrap_indexable,
    "_check_method_params": _wrap_check_method_params,
}
