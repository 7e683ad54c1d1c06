"""Read blocks by running their tasks of a Dask graph in the calling thread."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from dask.typing import Key

from dlbd_estimators.blocks.compute import compute
from dlbd_estimators.blocks.graph import Graph
from dlbd_estimators.blocks.row_functions import read_last_steps
from dlbd_estimators.blocks.sequence import Loader, Rows
from dlbd_estimators.exceptions import BadBlock


class TaskLoader(Loader):
    """Read blocks by running their tasks of a Dask graph in the calling thread."""

    @abstractmethod
    def part(self, index: int) -> tuple[Graph, Sequence[Key]]:
        """Return a graph, and the keys in it that make up a block.

        In a fit, these are the keys of X, y and, if there are weights, sample_weight. The graph may
        hold tasks that the block does not need.
        """

    def read(self, index: int, *, features: bool = True) -> Rows:
        values = self.values(index, first=features)
        parts = values if features else [None, *values]
        for name, part in zip(("X", "y", "sample_weight"), parts, strict=False):
            # None means that X was not requested; a user's function must not return None.
            if part is None and (features or name != "X"):
                raise BadBlock(f"{name} is None where an array was promised.")
        X, y, *weights = map(_copy_small_view, parts)
        return Rows(X, y, weights[0] if weights else None)

    def values(self, index: int, *, first: bool = True) -> list[Any]:
        """Return the values of all keys of a block; without ``first``, all but the first value."""
        graph, keys = self.part(index)
        wanted = list(keys if first else keys[1:])
        first_value = read_last_steps(graph, wanted[0], wanted[1:])
        if first_value is None:
            return compute(graph, wanted)
        return [first_value, *compute(graph, wanted[1:])]


def _copy_small_view(part: Any) -> Any:
    """Copy a view of a larger array, if nothing else refers to the larger array.

    X and y may be views of an array that was read with more columns. After the copy, only the
    columns of X and y stay in memory, and a cache may keep them.
    """
    base = getattr(part, "base", None)
    if not isinstance(base, np.ndarray) or base.nbytes <= part.nbytes:
        return part
    # Three references: the local name, the argument of getrefcount, and the view's `base`.
    return part.copy(order="K") if sys.getrefcount(base) == 3 else part
