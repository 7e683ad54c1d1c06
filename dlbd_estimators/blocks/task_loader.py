"""Reading a block by running its part of a Dask graph in the calling thread."""

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
    """Reads a block by executing its part of a Dask graph in the calling thread."""

    @abstractmethod
    def part(self, index: int) -> tuple[Graph, Sequence[Key]]:
        """Return tasks, and the keys in them of all that makes up a block.

        Of a fit these are X, y and, where there are weights, sample_weight. There may be other
        tasks than those that the block needs.
        """

    def read(self, index: int, *, features: bool = True) -> Rows:
        values = self.values(index, first=features)
        parts = values if features else [None, *values]
        for name, part in zip(("X", "y", "sample_weight"), parts, strict=False):
            # None means that nothing was asked for; a user's function must not say so.
            if part is None and (features or name != "X"):
                raise BadBlock(f"{name} is None where an array was promised.")
        X, y, *weights = map(_apart, parts)
        return Rows(X, y, weights[0] if weights else None)

    def values(self, index: int, *, first: bool = True) -> list[Any]:
        """Read all that makes up a block, or all but the first of it."""
        graph, keys = self.part(index)
        wanted = list(keys if first else keys[1:])
        made = read_last_steps(graph, wanted[0], wanted[1:])
        if made is None:
            return compute(graph, wanted)
        return [made, *compute(graph, wanted[1:])]


def _apart(part: Any) -> Any:
    """Copy what was cut out of a larger array, where nothing else holds that.

    Of the columns of X and y, read together, only these stay in memory, and may be kept there.
    """
    whole = getattr(part, "base", None)
    if not isinstance(whole, np.ndarray) or whole.nbytes <= part.nbytes:
        return part
    # Three references: the name here, the argument, and that of the part.
    return part.copy(order="K") if sys.getrefcount(whole) == 3 else part
