"""Weights and other metadata of the rows that scikit-learn's tools select."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.rows_by_number.preparation import known_sizes, needs_preparation, prepare
from dlbd_estimators.exceptions import LengthMismatch


def prepare_params(
    X: Any, params: dict[str, Any], *, chosen: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prepare lazy metadata so that rows can be taken by number, with the blocks of X.

    Parameters
    ----------
    X : array-like or Dask collection
        The rows.
    params : dict
        Metadata by name. Some may be in memory, or may not have one value per row.
    chosen : bool
        Whether rows are going to be selected.

    Returns
    -------
    params, others : dict
        Metadata whose rows can be taken, and metadata that are passed on unchanged.
    """
    sizes = known_sizes(X)
    ready = {name: value for name, value in params.items() if not needs_preparation(value)}
    others: dict[str, Any] = {}
    for name in params.keys() - ready.keys():
        if sizes is None and not chosen:
            others[name] = params[name]
            continue
        try:
            ready[name] = prepare([params[name]], sizes)[0]
        except LengthMismatch:  # not one value per row: scikit-learn passes it on, too
            others[name] = params[name]
    return ready, others
