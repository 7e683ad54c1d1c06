"""Encode new raw rows by the steps of an ingested data set."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from dask.delayed import delayed

from storage.errors import InvalidData
from storage.feature_array import FeatureArray
from storage.frames import is_frame
from storage.ingestion.pieces import array_of
from storage.ingestion.recipe import Recipe
from storage.ingestion.rows import check_names, table_of_frame

__all__ = ["Encoded", "encode_raw"]


class Encoded(NamedTuple):
    """New raw rows, encoded by the steps of a data set.

    Parameters
    ----------
    X : ndarray or dask.array.Array of shape (n_kept, n_features)
        Features, in the columns of the data set.
    y : ndarray or dask.array.Array of shape (n_kept,) or None
        Target; None if the raw rows have no such column.
    kept : ndarray or dask.array.Array of bool of shape (n_rows,)
        Mask of the raw rows that were kept; policies left out the others.

    Examples
    --------
    >>> import numpy as np
    >>> import storage
    >>> storage.Encoded(np.eye(2), None, np.array([True, True])).X.shape
    (2, 2)
    """

    X: Any
    y: Any
    kept: Any


def encode_raw(recipe: Recipe, raw: Any, columns: tuple[int, ...] | None) -> Encoded:
    """Encode a frame or table in memory, or a lazy frame.

    Parameters
    ----------
    recipe : Recipe
        The steps.
    raw : pandas.DataFrame, pyarrow.Table or Dask DataFrame
        The raw rows; the target may be absent.
    columns : tuple of int or None
        Numbers of the columns of X to return; None means all.
    """
    package = type(raw).__module__.partition(".")[0]
    if package == "polars" and hasattr(raw, "to_arrow"):
        raw = raw.to_arrow()
    lazy = is_frame(raw) and raw.ndim == 2
    if not lazy and not isinstance(raw, pa.Table) and not (package == "pandas" and raw.ndim == 2):
        raise TypeError(
            f"cannot encode a {type(raw).__name__}: give the raw columns as a pandas or Dask "
            f"DataFrame or a pyarrow Table"
        )
    names = raw.column_names if isinstance(raw, pa.Table) else [str(each) for each in raw.columns]
    check_names(names, "the raw data")
    absent = [name for name in recipe.raw_names if name not in names]
    if absent:
        raise InvalidData(
            f"the raw data has no column {absent[0]!r}: the data set was made from the columns "
            f"{', '.join(recipe.raw_names[:8])}{', ...' * (len(recipe.raw_names) > 8)}"
        )
    wanted = list(recipe.raw_names)
    if recipe.target.name in names:
        wanted.append(recipe.target.name)
    if not lazy:
        return _encoded(wanted, columns, "the raw data", recipe, raw)
    return _lazy(recipe, wanted, columns, raw)


def _encoded(
    wanted: list[str], columns: tuple[int, ...] | None, where: str, recipe: Recipe, raw: Any
) -> Encoded:
    table = raw.select(wanted) if isinstance(raw, pa.Table) else table_of_frame(raw, wanted, where)
    X, y, kept, _ = recipe.encode(table, where)
    return Encoded(X if columns is None else X[:, list(columns)], y, kept)


def _lazy(recipe: Recipe, wanted: list[str], columns: tuple[int, ...] | None, raw: Any) -> Encoded:
    shared = delayed(recipe, name=f"recipe-{uuid.uuid4().hex}", traverse=False)
    pieces = [
        delayed(
            partial(_encoded, wanted, columns, f"partition {number} of the raw data"),
            traverse=False,
        )(shared, partition)
        for number, partition in enumerate(raw.to_delayed())
    ]
    names = recipe.feature_names
    if columns is not None:
        names = tuple(names[each] for each in columns)
    lengths = [np.nan] * len(pieces)
    X = FeatureArray.of(array_of(pieces, 0, lengths, (len(names),), np.dtype(np.float64)), names)
    y = None
    if recipe.target.name in wanted:
        y = array_of(pieces, 1, lengths, (), recipe.target_dtype)
    return Encoded(X, y, array_of(pieces, 2, lengths, (), np.dtype(bool)))
