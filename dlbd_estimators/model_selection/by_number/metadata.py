"""Weights and other metadata of the rows that scikit-learn's tools choose."""

from __future__ import annotations

from typing import Any

import dask.array as da

from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.model_selection.by_number.opening import known_sizes, needs_opening, opened


def opened_params(X: Any, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make lazy metadata ready for rows to be taken by number, with the blocks of X.

    Parameters
    ----------
    X : array-like or Dask collection
        The rows.
    params : dict
        Metadata by name, not all of them lazy or with a value a row.

    Returns
    -------
    params, others : dict
        Those whose rows can be taken, and those that are passed on as they are.
    """
    sizes = known_sizes(X)
    lazy = {name: each for name, each in params.items() if needs_opening(each)}
    rest = {name: each for name, each in params.items() if name not in lazy}
    if sizes is None:
        return rest, lazy
    others: dict[str, Any] = {}
    for name, each in lazy.items():
        try:
            rest[name] = opened([each], tuple(size for size in sizes if size))[0]
        except LengthMismatch:
            others[name] = each
    return rest, others
