"""Some rows of a blocked Dask array, block by block: no task holds more than one block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from storage.feature_array import FeatureArray

__all__ = ["rows_in"]

#: First row, and the row after the last one.
Range = tuple[int, int]


def rows_in(array: da.Array, ranges: Sequence[Range]) -> da.Array:
    """Return the rows of these ranges, lazily; each block that holds some of them is read once.

    Parameters
    ----------
    array : dask.array.Array
        An array whose chunks span all columns and have known lengths.
    ranges : sequence of (int, int)
        First row, and the row after the last one, of each range; sorted, and without overlap.

    Returns
    -------
    dask.array.Array
        One chunk for each block that holds some of the rows. Names of features are kept.
    """
    of_blocks = _ranges_of_blocks(array.chunks[0], ranges)
    if not of_blocks:
        none: da.Array = array[:0]
        return none
    lengths = {block: sum(stop - start for start, stop in of_blocks[block]) for block in of_blocks}
    sizes = [array.chunks[0][block] for block in of_blocks]
    # Whole blocks need no entry, so that each task stays small.
    partly = {
        place: tuple(of_blocks[block])
        for place, (block, size) in enumerate(zip(of_blocks, sizes, strict=True))
        if lengths[block] < size
    }
    found = array.blocks[[*of_blocks]]
    if partly:
        found = da.map_blocks(
            partial(_taken, partly),
            found,
            chunks=(tuple(lengths.values()), *array.chunks[1:]),
            dtype=array.dtype,
            meta=array._meta,
        )
    return FeatureArray.of(found, getattr(array, "feature_names", None))


def _ranges_of_blocks(sizes: Sequence[int], ranges: Sequence[Range]) -> dict[int, list[Range]]:
    """Return the ranges in each block that holds some of the rows, counted within the block."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found: dict[int, list[Range]] = defaultdict(list)
    for start, stop in ranges:
        if start == stop:
            continue
        first = int(np.searchsorted(starts, start, side="right")) - 1
        last = int(np.searchsorted(starts, stop, side="left"))
        for block in range(first, last):
            begin = int(starts[block])
            part = (max(start - begin, 0), min(stop - begin, int(sizes[block])))
            if part[0] < part[1]:
                found[block].append(part)
    return dict(found)


def _taken(partly: Mapping[int, Sequence[Range]], block: Any, block_id: tuple[int, ...]) -> Any:
    ranges = partly.get(block_id[0])
    if ranges is None:
        return block
    # A copy: a view would keep the whole block in memory.
    return np.concatenate([block[start:stop] for start, stop in ranges])
