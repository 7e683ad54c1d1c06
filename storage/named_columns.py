"""A Dask array with names for its columns, which estimators store as ``feature_names_in_``.

scikit-learn takes the names of features from the columns of a frame; a plain array has no names.
Here the attribute ``feature_names`` holds them: a tuple of str, one for each column. Code that
takes a Dask array can read this attribute without importing this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dask.array.core import Array as DaskArray

__all__ = ["NamedColumns"]


class NamedColumns(DaskArray):
    """A Dask array of two dimensions with a name for each column.

    In all other ways it is a Dask array. Selected rows and columns, persisted and pickled arrays
    keep the names. The results of other operations are plain Dask arrays without names.

    Attributes
    ----------
    feature_names : tuple of str
        One name for each column.
    """

    feature_names: tuple[str, ...]

    @classmethod
    def of(cls, array: DaskArray, names: Sequence[str]) -> NamedColumns:
        """Return the same array with names for its columns."""
        return _rebuilt(array.dask, array.name, array.chunks, array._meta, tuple(names))

    def __getitem__(self, index: Any) -> DaskArray:
        part: DaskArray = DaskArray.__getitem__(self, index)
        names = _chosen(self.feature_names, index) if part.ndim == 2 else None
        return part if names is None else NamedColumns.of(part, names)

    def __dask_postpersist__(self) -> tuple[Any, tuple[Any, ...]]:
        return _persisted, (self.name, self.chunks, self._meta, self.feature_names)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _rebuilt, (self.dask, self.name, self.chunks, self._meta, self.feature_names)


def _rebuilt(graph: Any, name: str, chunks: Any, meta: Any, names: tuple[str, ...]) -> NamedColumns:
    array: NamedColumns = DaskArray.__new__(NamedColumns, graph, name, chunks, meta=meta)
    array.feature_names = names
    return array


def _persisted(
    graph: Any,
    name: str,
    chunks: Any,
    meta: Any,
    names: tuple[str, ...],
    *,
    rename: dict[str, str] | None = None,
) -> NamedColumns:
    return _rebuilt(graph, (rename or {}).get(name, name), chunks, meta, names)


def _chosen(names: tuple[str, ...], index: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that an index selects; None if they cannot be known."""
    if not isinstance(index, tuple) or len(index) < 2:
        return names
    if any(element is None for element in index) or len(index) > 2:
        return None
    columns = index[1]
    if columns is Ellipsis:
        return names
    if isinstance(columns, slice | list | np.ndarray):
        return tuple(np.array(names, dtype=object)[columns].tolist())
    return None
