"""The names of columns that a caller has not named: x0, x1, ..., as in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["default_names", "given_names"]


def default_names(n_features: int) -> tuple[str, ...]:
    """Return the names x0, x1, ... of so many columns."""
    return tuple(f"x{column}" for column in range(n_features))


def given_names(names: Sequence[str]) -> bool:
    """Return whether columns have names of their own, not only the default x0, x1, ..."""
    # Names that a caller gave mostly differ at the first column, and there may be millions.
    return any(name != f"x{column}" for column, name in enumerate(names))
