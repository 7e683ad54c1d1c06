"""Warnings that point to the line of the user."""

from __future__ import annotations

import sys
import warnings

#: What may lie between the line of the user and what it makes this package do: a pipeline or a
#: search, the loading of a pickle.
_BETWEEN = frozenset(
    ("cloudpickle", "copy", "distributed", "dlbd_estimators", "joblib", "pickle", "sklearn")
)


def warn_user(message: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn, and point to the line of the user, whatever lies in between.

    Parameters
    ----------
    message : str or Warning
        What to say.
    category : type, optional
        Class of the warning, where the message is a text.
    """
    # Python 3.12 has skip_file_prefixes for it, and 3.11 has to be served, too.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(module: dict[str, object]) -> str:
    return str(module.get("__name__")).partition(".")[0]
