"""Targets with a second column: the number of each row's group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlbd_estimators.blocks.alignment import align
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import as_dask_collection, is_lazy
from dlbd_estimators.engine.column_passes import reduce_rows, with_lengths_of_one_source
from dlbd_estimators.exceptions import BadBlock, LengthMismatch
from dlbd_estimators.kernels.labels import distinct


@dataclass(frozen=True)
class Groups:
    """The group of each row.

    Attributes
    ----------
    values : array-like or Dask collection of shape (n_samples,)
        The column that the user passed.
    names : ndarray of shape (n_groups,)
        All groups, sorted.
    classes : ndarray or None
        Classes of the targets, if these are labels.
    """

    values: Any
    names: NDArray[Any]
    classes: NDArray[Any] | None

    def beside(self, y: NDArray[Any], groups: NDArray[Any]) -> NDArray[np.float64]:
        """Return the targets of some rows, and the numbers of their groups, as two columns."""
        if len(y) != len(groups):
            raise LengthMismatch(f"y has {len(y)} rows, but groups has {len(groups)}.")
        joined = np.empty((len(y), 2))
        joined[:, 0] = Encoding(self.classes).targets(y, "a block")
        found = _names(groups)
        number = np.minimum(np.searchsorted(self.names, found), len(self.names) - 1)
        if np.any(self.names[number] != found):
            raise BadBlock(
                "groups contains a group that was not found before. Did the data change?"
            )
        joined[:, 1] = number
        return joined

    def beside_lazy(self, y: da.Array, groups: da.Array, X: da.Array) -> da.Array:
        """Return two lazy columns, targets and numbers of their groups, with the blocks of X."""
        arrays = with_lengths_of_one_source([X, y, groups])
        cut = align(dict(zip(("X", "y", "groups"), arrays, strict=True)))
        # Each task holds this object, so it must not hold the column that the user passed.
        without_values = replace(self, values=None)
        joined: da.Array = da.blockwise(
            without_values.beside,
            "ij",
            cut["y"],
            "i",
            cut["groups"],
            "i",
            new_axes={"j": 2},
            align_arrays=False,
            dtype=np.float64,
            meta=np.empty((0, 2)),
        )
        return joined


def groups_of(values: Any, classes: NDArray[Any] | None, most: int) -> Groups:
    """Find the distinct groups of a column; one pass reads a lazy column, block by block.

    Parameters
    ----------
    values : array-like or Dask collection of shape (n_samples,)
        The group of each row: strings, integers or booleans; floats are accepted, too.
    classes : ndarray or None
        Classes of the targets, if these are labels.
    most : int
        The largest number of groups.

    Raises
    ------
    ValueError
        There are more groups, a value is missing, or the column has the wrong shape.
    """
    find = _Distinct(most)
    if is_lazy(values):
        (values,) = merge_graphs(as_dask_collection("groups", values))
        return Groups(values, reduce_rows([values], find, find.combine, name="groups"), classes)
    values = np.asarray(values)
    return Groups(values, find(values), classes)


@dataclass(frozen=True)
class _Distinct:
    """Finds the distinct groups of a block, and merges those of two blocks."""

    most: int

    def __call__(self, groups: Any) -> NDArray[Any]:
        return self._checked(distinct(_names(groups))[0])

    def combine(self, left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        return self._checked(np.union1d(left, right))

    def _checked(self, names: NDArray[Any]) -> NDArray[Any]:
        if len(names) > self.most:
            raise ValueError(
                f"groups has more than {self.most} groups, and the scores of all would be in "
                f"memory at the same time. Use fewer, larger groups. If each group has one row, "
                f"use covariance='HC1', which differs by a factor only."
            )
        return names


def _names(groups: Any) -> NDArray[Any]:
    """Check a block of groups and return it as a one-dimensional array."""
    found = np.asarray(groups)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(f"groups must have one entry per row, but have shape {found.shape}.")
    missing = np.asarray(pd.isna(found))
    if missing.any():
        raise ValueError(
            f"groups is missing in {int(missing.sum())} row(s) or more. Drop these rows, or give "
            f"them a group of their own."
        )
    return found.astype(object) if found.dtype.kind == "T" else found
