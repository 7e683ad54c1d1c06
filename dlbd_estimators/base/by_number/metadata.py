"""Weights and other metadata of the rows that scikit-learn's tools choose."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.by_number.opening import known_sizes, needs_opening, opened
from dlbd_estimators.exceptions import LengthMismatch


def opened_params(
    X: Any, params: dict[str, Any], *, chosen: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make lazy metadata ready for rows to be taken by number, with the blocks of X.

    Parameters
    ----------
    X : array-like or Dask collection
        The rows.
    params : dict
        Metadata by name, not all of them lazy or with a value a row.
    chosen : bool
        Rows are going to be chosen.

    Returns
    -------
    params, others : dict
        Those whose rows can be taken, and those that are passed on as they are.
    """
    sizes = known_sizes(X)
    ready = {name: each for name, each in params.items() if not needs_opening(each)}
    others: dict[str, Any] = {}
    for name in params.keys() - ready.keys():
        if sizes is None and not chosen:
            others[name] = params[name]
            continue
        try:
            ready[name] = opened([params[name]], sizes)[0]
        except LengthMismatch:  # not a value a row: scikit-learn passes it on too
            others[name] = params[name]
    return ready, others
