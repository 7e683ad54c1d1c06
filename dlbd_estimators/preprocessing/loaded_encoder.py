"""Check that the fitted attributes of an encoder that was read from a file fit together.

scikit-learn writes a one-hot matrix at the places that these attributes name. Wrong places would be
outside of the matrix, where they damage the memory of the process.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.loaded_values import check_categories


def check_encoder(model: Any) -> None:
    """Check the categories of an encoder, and the columns that a one-hot encoder makes of them.

    Parameters
    ----------
    model : OneHotEncoder or OrdinalEncoder
        The encoder, as it was read.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError
        They do not fit together.
    """
    check_categories(model)
    if "categories_" not in vars(model):
        return
    groups = model._infrequent_indices if model._infrequent_enabled else None
    mappings = model._default_to_infrequent_mappings if model._infrequent_enabled else None
    drops = getattr(model, "_drop_idx_after_grouping", None)
    widths = []
    for number, values in enumerate(model.categories_):
        width = len(values)
        group = None if groups is None else groups[number]
        if group is not None:
            if not _are_indices(group, width):
                raise ValueError(f"the infrequent categories of column {number} do not exist")
            width -= len(group) - 1
        mapping = None if mappings is None else mappings[number]
        if mapping is not None and not (
            _are_indices(mapping, width) and len(mapping) == len(values)
        ):
            raise ValueError(f"the infrequent categories of column {number} have no group")
        drop = None if drops is None else drops[number]
        if drop is not None:
            if not _are_indices(np.atleast_1d(drop), width):
                raise ValueError(f"the dropped category of column {number} does not exist")
            width -= 1
        widths.append(width)
    outputs = getattr(model, "_n_features_outs", widths)
    if outputs != widths or any(type(width) is bool for width in outputs):
        raise ValueError(f"its columns become {outputs!r:.100} columns, not {widths!r:.100}")


def _are_indices(values: Any, length: int) -> bool:
    """Return whether all values are indices of a sequence of this length."""
    array = np.asarray(values)
    is_whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "O" and all(type(each) is int for each in array.ravel())
    )
    return array.ndim == 1 and is_whole and bool(((array >= 0) & (array < length)).all())
