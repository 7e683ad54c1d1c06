"""Pieces of X and y that are the blocks to write, from clean rows that several tasks may read.

If a piece is the rows of a partition, the task that writes a block waits for all pieces of the
block, other workers send some of them, and their rows are copied to one array. Where rows are read
quickly, the task of a block reads what it needs of its partitions itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed, delayed

from storage.ingestion.checked_rows import CleanRows
from storage.ingestion.feature_columns import feature_rows
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.recipe import Recipe

__all__ = ["Part", "block_parts", "encoding"]


class Part(NamedTuple):
    """The rows from `start` up to `stop` of the kept rows of a partition."""

    rows: LazyRows
    start: int
    stop: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


class _Read(NamedTuple):
    """A part in the task of a block: how it is read, from the next so many inputs of the task."""

    read: Callable[..., Any]
    n_inputs: int
    start: int
    stop: int


def block_parts(
    rows: Sequence[LazyRows], n_kept: Sequence[int], first: int, ends: Sequence[int]
) -> Iterator[list[Part]]:
    """Cut consecutive partitions into blocks.

    Parameters
    ----------
    rows : sequence of LazyRows
        The partitions.
    n_kept : sequence of int
        Number of kept rows of each partition.
    first : int
        Number of the first of these rows in the data set.
    ends : sequence of int
        Number of the row after each block.

    Yields
    ------
    list of Part
        The parts of a block, or of the rows before the first or after the last block.
    """
    parts: list[Part] = []
    inside = set(ends)
    for partition, kept in zip(rows, n_kept, strict=True):
        cuts = [end for end in ends if first < end < first + kept]
        for start, stop in pairwise([first, *cuts, first + kept]) if kept else ():
            parts.append(Part(partition, start - first, stop - first))
            if stop in inside:
                yield parts
                parts = []
        first += kept
    if parts:
        yield parts


def encoding(parts: Sequence[Part], recipe: Delayed, key: tuple[str | int, ...]) -> Delayed:
    """Return the task, named `key`, that reads the parts of a block; it returns X, y and hashes."""
    reads = [_Read(part.rows.read, len(part.rows.inputs), *part[1:]) for part in parts]
    inputs = [each for part in parts for each in part.rows.inputs]
    encode = delayed(partial(_encoded, reads), traverse=False)
    task: Delayed = encode(recipe, *inputs, dask_key_name=key)
    return task


def _encoded(reads: Sequence[_Read], recipe: Recipe, *inputs: Any) -> tuple[Any, Any, Any]:
    n_rows = sum(each.stop - each.start for each in reads)
    X = np.empty((n_rows, len(recipe.feature_names)))
    y = np.empty(n_rows, recipe.target_dtype)
    hashes = np.empty((n_rows, recipe.n_words), np.uint64)
    left, at = iter(inputs), 0
    for read, n_inputs, start, stop in reads:
        rows = read(*islice(left, n_inputs))
        place = slice(at, at + stop - start)
        if isinstance(rows, CleanRows):
            clean = rows.part(start, stop)
            feature_rows(recipe.feature_columns(clean), 0, clean.n_rows, out=X[place])
            y[place], found = recipe.target_values(clean), clean.hashes
        else:
            encoded = recipe.encode(rows.table, rows.file, rows.duplicates, hashed=True)
            assert encoded.y is not None
            X[place], y[place] = encoded.X[start:stop], encoded.y[start:stop]
            found = None if encoded.hashes is None else encoded.hashes[start:stop]
        if found is not None:
            hashes[place] = found
        at = place.stop
    return X, y, hashes
