"""Warnings about parameters that scikit-learn has, and that have no effect here.

Some values ask for nothing, and give no warning: ``copy_X=False`` only allows to overwrite X, and
``precompute`` is a hint. A value that would change something in scikit-learn gives a warning, once
for each class and process, so that a grid search does not print hundreds of them.
"""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.exceptions import ParameterWithoutEffect

#: Classes and parameters that this process has warned about.
_told: set[tuple[str, str]] = set()


def tell_once(estimator: Any, name: str, why: str, category: type[Warning] | None = None) -> None:
    """Warn that the value of a parameter does nothing, the first time in this process.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    name : str
        The parameter.
    why : str
        A sentence: what is done instead.
    category : type of Warning, optional
        Of the warning; :class:`ParameterWithoutEffect` unless scikit-learn has another.
    """
    class_name = type(estimator).__name__
    if (class_name, name) in _told:
        return
    _told.add((class_name, name))
    message = f"{name!r} has no effect in this {class_name}: {why}"
    warn_user(f"{message} (This is said once.)", category or ParameterWithoutEffect)
