"""Warnings that point to the user's line of code."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

#: Packages that may call this package between the user's line and the warning.
_BETWEEN = frozenset({"click", "storage"})


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn, and point to the first line that is outside this package."""
    # warnings.warn has skip_file_prefixes for this, but only since Python 3.12.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(module: dict[str, object]) -> str:
    return str(module.get("__name__")).partition(".")[0]
