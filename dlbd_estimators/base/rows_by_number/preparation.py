"""Prepare lazy X and y together, so that rows can be taken by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np

from dlbd_estimators.base.rows_by_number import arrays
from dlbd_estimators.base.rows_by_number.parts import recut
from dlbd_estimators.blocks import sources
from dlbd_estimators.blocks.alignment import with_sizes
from dlbd_estimators.blocks.checks import check_same_rows
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import is_frame, is_lazy
from dlbd_estimators.engine.column_passes import block_lengths

Sizes = tuple[int, ...]


def needs_preparation(data: Any) -> bool:
    """Return whether data are lazy and have not been prepared by :func:`prepare` yet."""
    if isinstance(data, da.Array):
        return not isinstance(data, arrays.NumberedArray)
    return is_lazy(data) and known_sizes(data) is None


def known_sizes(data: Any) -> Sizes | None:
    """Return the number of rows of each block of lazy data; None if it is not known."""
    if isinstance(data, da.Array):
        sizes = data.chunks[0] if data.ndim else ()
        return None if np.isnan(sizes).any() else tuple(map(int, sizes))
    # Not getattr, because a column may have this name.
    found: Sizes | None = vars(data).get("row_blocks") if is_frame(data) else None
    return found  # also None for a Zarr array, which has to be opened first


def prepare(collections: Sequence[Any], sizes: Sizes | None = None) -> list[Any]:
    """Convert lazy data to Dask collections, all with the same blocks of known lengths.

    Parameters
    ----------
    collections : sequence
        X, y and other data with one value per row. Data in memory are returned unchanged.
    sizes : tuple of int, optional
        Number of rows of each block; by default the same as in the first lazy collection.

    Returns
    -------
    list
        Arrays and frames from which rows can be taken by number, with the same blocks.

    Raises
    ------
    LengthMismatch
        The collections have different numbers of rows.
    """
    lazy = [index for index, each in enumerate(collections) if is_lazy(each)]
    found = dict(zip(lazy, _plain(*(collections[index] for index in lazy)), strict=True))
    lengths = dict(zip(lazy, _lengths([found[index] for index in lazy]), strict=True))
    totals = [sum(each) for each in lengths.values()]
    check_same_rows(totals if sizes is None else [sum(sizes), *totals])
    if sizes is None:
        sizes = tuple(size for size in lengths[lazy[0]] if size)
    if not sizes:
        raise ValueError("Found lazy data with 0 samples: there are no rows to choose.")
    result = list(collections)
    for index in lazy:
        result[index] = _cut(found[index], lengths[index], sizes)
    return result


def _plain(*collections: Any) -> list[Any]:
    # Masked and sparse blocks are not refused here: the estimator checks them.
    return merge_graphs(
        *(
            each if isinstance(each, da.Array) else sources.as_dask_collection("the data", each)
            for each in collections
        )
    )


def _lengths(collections: Sequence[Any]) -> list[Sizes]:
    """Return the rows of each block; one pass counts those of all collections without lengths."""
    known = [known_sizes(each) for each in collections]
    unknown = [each for each, sizes in zip(collections, known, strict=True) if sizes is None]
    found = iter(block_lengths(*unknown))
    return [next(found) if sizes is None else sizes for sizes in known]


def count_rows(data: Any) -> int:
    """Count the rows of lazy data."""
    return sum(_lengths(_plain(data))[0])


def _cut(data: Any, sizes: Sizes, wanted: Sizes) -> Any:
    if isinstance(data, da.Array):
        if sizes != known_sizes(data):
            data = with_sizes(data, sizes)
        data = data.rechunk({0: wanted})
        return arrays.numbered(data.dask, data.name, data.chunks, data._meta)
    from dlbd_estimators.base.rows_by_number import frames

    if sizes != known_sizes(data):
        data = frames.numbered(data, sizes)
    if data.row_blocks == wanted:
        return data
    return frames.take(data, recut(data.row_blocks, wanted), wanted)
