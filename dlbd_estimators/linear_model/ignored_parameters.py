"""Warnings about scikit-learn's parameters that have no effect here.

Values that change no result in scikit-learn give no warning: ``copy_X=False`` only permits that X
is overwritten, and ``precompute=True`` is a hint. Other values give a warning, once for each class
in a process, so that a grid search does not print hundreds of them.
"""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.exceptions import ParameterWithoutEffect

#: Pairs of class and parameter that this process has warned about.
_warned: set[tuple[str, str]] = set()


def warn_once(estimator: Any, name: str, why: str, category: type[Warning] | None = None) -> None:
    """Warn that the value of a parameter has no effect, once for each class in this process.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted.
    name : str
        Name of the parameter.
    why : str
        Why it has no effect: the end of the sentence, with a full stop.
    category : type of Warning, optional
        Category of the warning, if scikit-learn uses another one than
        :class:`ParameterWithoutEffect`.
    """
    class_name = type(estimator).__name__
    if (class_name, name) in _warned:
        return
    _warned.add((class_name, name))
    message = f"{name!r} has no effect in this {class_name}: {why}"
    warn_user(f"{message} (This warning is shown once.)", category or ParameterWithoutEffect)
