"""The Dask array of the features of a data set, with the names of its columns and sizes of blocks.

scikit-learn takes the names of features from the columns of a frame; a plain array has no names.
The number of stored values of a sparse block is not known before it is read. Here two attributes
hold them. Code that takes a Dask array can read these attributes without importing this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.array.core import Array as DaskArray

__all__ = ["FeatureArray"]


class _Facts(NamedTuple):
    """The attributes that a Dask array does not have."""

    feature_names: tuple[str, ...] | None
    max_block_nnz: int | None


class FeatureArray(DaskArray):
    """A Dask array of two dimensions with names for its columns, or known sizes of sparse blocks.

    In all other ways it is a Dask array. Persisted and pickled arrays keep both attributes;
    selected rows and columns keep the names. The results of other operations are plain Dask arrays.

    Attributes
    ----------
    feature_names : tuple of str or None
        One name for each column; None if the columns have no names.
    max_block_nnz : int or None
        Stored values of the largest block, zeros included; None if the blocks are dense, or if the
        number is not known.
    """

    feature_names: tuple[str, ...] | None
    max_block_nnz: int | None

    @classmethod
    def of(
        cls,
        array: DaskArray,
        feature_names: Sequence[str] | None = None,
        max_block_nnz: int | None = None,
    ) -> DaskArray:
        """Return the same array with these attributes; `array` itself if both are None."""
        if feature_names is None and max_block_nnz is None:
            return array
        names = None if feature_names is None else tuple(feature_names)
        facts = _Facts(names, max_block_nnz)
        return _rebuilt(array.dask, array.name, array.chunks, array._meta, facts)

    def __getitem__(self, index: Any) -> DaskArray:
        part: DaskArray = DaskArray.__getitem__(self, index)
        if part is self or self.feature_names is None or part.ndim != 2:
            return part
        return FeatureArray.of(part, _chosen(self.feature_names, index))

    def __dask_postpersist__(self) -> tuple[Any, tuple[Any, ...]]:
        return _persisted, (self.name, self.chunks, self._meta, self._facts)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _rebuilt, (self.dask, self.name, self.chunks, self._meta, self._facts)

    @property
    def _facts(self) -> _Facts:
        return _Facts(self.feature_names, self.max_block_nnz)


def _rebuilt(graph: Any, name: str, chunks: Any, meta: Any, facts: _Facts) -> FeatureArray:
    array: FeatureArray = DaskArray.__new__(FeatureArray, graph, name, chunks, meta=meta)
    array.feature_names, array.max_block_nnz = facts
    return array


def _persisted(
    graph: Any,
    name: str,
    chunks: Any,
    meta: Any,
    facts: _Facts,
    *,
    rename: dict[str, str] | None = None,
) -> FeatureArray:
    return _rebuilt(graph, (rename or {}).get(name, name), chunks, meta, facts)


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
