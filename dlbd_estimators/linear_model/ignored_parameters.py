"""Parameters taken because scikit-learn has them, and what is said of one that does nothing here.

A value that leaves us free (``copy_X=False`` allows to overwrite X, and does not ask for it;
``precompute`` is a hint) is taken in silence. What would do something in scikit-learn and does
nothing here is told once a process and class, so that a grid search is not a wall of warnings.
"""

from __future__ import annotations

from typing import Any

from dlbd_estimators.exceptions import ParameterWithoutEffect, warn_user

#: Classes and parameters that have been told of, in this process.
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
