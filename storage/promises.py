"""Check that blocks have the shape and dtype that their Dask array promises.

A Dask array only declares which shape and dtype its blocks will have. Without a check, a block that
is too large would be cut silently, and one that is too small might be broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.array.core import Array as DaskArray
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArraySliceDep
from dask.tokenize import tokenize

from storage.sparse_rows import as_csr, is_sparse

__all__ = ["as_promised"]


@dataclass(frozen=True)
class _Promise:
    """Returns a block unchanged if it is what was promised."""

    name: str
    dtype: str
    sparse: bool

    def __call__(self, block: Any, place: tuple[slice, ...]) -> Any:
        where = f"the block of {_range_text(place)} of {self.name}"
        if self.sparse and is_sparse(block):
            # Other formats than CSR cannot be cut into rows.
            block = as_csr(block, where)
        elif self.sparse or not isinstance(block, np.ndarray):
            wanted = "sparse matrix" if self.sparse else "NumPy array"
            raise TypeError(
                f"{where} came as {type(block).__name__}, not as a {wanted}: give map_blocks or "
                f"from_delayed the right meta"
            )
        shape = tuple(extent.stop - extent.start for extent in place)
        if block.shape != shape:
            raise ValueError(
                f"{where} came with {_shape_text(block.shape)} where the Dask array promised "
                f"{_shape_text(shape)}: its chunks are declared wrongly, or its length changes "
                f"from one computation to the next"
            )
        if isinstance(block, np.ma.MaskedArray):
            missing = np.argwhere(np.ma.getmaskarray(block))
            if missing.size:
                row = place[0].start + int(missing[0][0])
                raise ValueError(
                    f"row {row} of {self.name} has no value (missing, or masked): drop such "
                    f"rows, or fill them in, before storing"
                )
            block = np.asarray(block)
        if not np.can_cast(block.dtype, self.dtype, "safe"):
            raise TypeError(
                f"{where} came with dtype {block.dtype} where the Dask array promised "
                f"{self.dtype}: give map_blocks the right meta or dtype, or convert the blocks "
                f"with astype"
            )
        return block


def as_promised(name: str, array: DaskArray) -> DaskArray:
    """Return the same array with a check that raises if a block differs from the promise.

    Raises
    ------
    TypeError, ValueError
        When computed: the message names the array and the block's rows and columns.
    """
    axes = tuple(range(array.ndim))
    promise = _Promise(name, array.dtype.name, is_sparse(array._meta))
    checked = f"check-{name}-{tokenize(promise, array.name, array.chunks)}"
    layer = blockwise(
        promise,
        checked,
        axes,
        array.name,
        axes,
        ArraySliceDep(array.chunks),
        axes,
        numblocks={array.name: array.numblocks},
    )
    graph = HighLevelGraph(
        {**array.dask.layers, checked: layer}, {**array.dask.dependencies, checked: {array.name}}
    )
    return DaskArray(graph, checked, chunks=array.chunks, meta=array._meta)


def _range_text(place: tuple[slice, ...]) -> str:
    rows = f"rows {place[0].start} to {place[0].stop - 1}"
    return rows if len(place) == 1 else f"{rows}, columns {place[1].start} to {place[1].stop - 1}"


def _shape_text(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return f"{shape[0]} rows of {shape[1]} columns"
    return f"{shape[0]} rows" if len(shape) == 1 else f"shape {shape}"
