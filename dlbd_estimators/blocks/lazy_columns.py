"""Blocks of any lazy columns: aligned rows of Dask arrays and data frames.

Column statistics, metrics of labels and predictions, and counts of labels read the aligned rows of
one or more collections block by block. :mod:`dlbd_estimators.blocks.dask_blocks` makes the blocks
from the graphs of the collections, as it does for the rows of a fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import dask.array as da

from dlbd_estimators.blocks.alignment import align, known
from dlbd_estimators.blocks.checks import Promised, checked, promise
from dlbd_estimators.blocks.dask_blocks import Remote, task_loader
from dlbd_estimators.blocks.data_frame_columns import Aligned, column, features
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sequence import BlockSequence, Loader
from dlbd_estimators.blocks.sources import is_frame
from dlbd_estimators.blocks.task_loader import TaskLoader
from dlbd_estimators.exceptions import BadBlock, LengthMismatch


@dataclass(frozen=True)
class RowBlock:
    """Aligned rows of some collections.

    Attributes
    ----------
    index : int
        Number of the block.
    columns : tuple of ndarray, DataFrame or Series
        The rows of each collection.
    """

    index: int
    columns: tuple[Any, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the columns, without the contents of Python objects."""
        return sum(map(_nbytes, self.columns))


def _nbytes(column: Any) -> int:
    if hasattr(column, "memory_usage"):
        used = column.memory_usage()
        return int(used.sum() if column.ndim == 2 else used)
    return int(getattr(column, "nbytes", 0))


@dataclass(frozen=True)
class RowBlocks(BlockSequence):
    """A numbered sequence of blocks of rows of some collections.

    Parameters
    ----------
    loader : TaskLoader
        Reads a block.
    n_blocks : int
        Number of blocks; a block may have no rows.
    promised : tuple of Promised or Aligned
        What each collection promises about its blocks.
    sizes : tuple of int or None
        Rows of each block; None if they are not known before the blocks are read.
    block_nbytes : int or None
        Size of the largest block, in bytes; None where unknown.
    """

    read_again = False

    loader: TaskLoader
    n_blocks: int
    promised: tuple[Aligned | Promised, ...]
    sizes: tuple[int, ...] | None
    block_nbytes: int | None
    in_memory: bool = False

    @property
    def leader(self) -> str:
        """Name of the collection whose chunks are the blocks, for messages."""
        return self.promised[0].name

    def with_loader(self, loader: Loader) -> Self:
        """Return the same blocks, read by another loader."""
        assert isinstance(loader, TaskLoader)
        return replace(self, loader=loader)

    def load(self, index: int, *, features: bool = True) -> RowBlock:
        """Read and check one block, always with all its columns.

        Raises
        ------
        LengthMismatch
            The collections have different numbers of rows in this block.
        BadBlock
            The block does not match what a collection promises.
        TypeError
            The block is masked or sparse.
        """
        columns = tuple(
            checked(block, promised, f"block {index}")
            for block, promised in zip(self._read(index), self.promised, strict=True)
        )
        lengths = [len(each) for each in columns]
        if len(set(lengths)) > 1:
            raise LengthMismatch(
                f"Found input variables with inconsistent numbers of samples: a block has "
                f"{' and '.join(map(str, lengths))} rows."
            )
        return RowBlock(index, columns)

    def _read(self, index: int) -> list[Any]:
        try:
            return self.loader.values(index)
        except KeyError as error:
            # The task of a block may select columns of a data frame. It fails, before the block
            # can be checked, if the partition does not have these columns.
            if not isinstance(self.promised[0], Aligned):
                raise
            raise BadBlock(
                f"block {index} of {self.leader} lacks columns that were promised: {error}"
            ) from error

    def diagnose(self, index: int, block: RowBlock) -> None:
        """Do nothing: kernels of row blocks check the numbers themselves."""


def columns_of(collections: Sequence[Any]) -> list[Any]:
    """Merge collections whose rows belong together into one graph.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Collections with the same rows.

    Returns
    -------
    list
        The collections in the same order. A single data frame stays a data frame; if there are
        several collections, data frames become arrays.
    """
    frames = merge_graphs(*collections)
    return frames if len(frames) == 1 else [_as_array(each) for each in frames]


def _as_array(collection: Any) -> da.Array:
    array: da.Array = collection
    if is_frame(collection):
        array = features(collection) if collection.ndim == 2 else column(collection, "a column")
    return array


def row_blocks(
    collections: Sequence[Any], names: Sequence[str], *, remote: Remote | None = None
) -> RowBlocks:
    """Align collections and split their graphs into blocks of rows.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        As :func:`columns_of` returns them. Blocks are the row chunks (partitions) of the first;
        the columns of an array are joined to one chunk. Chunks of unknown length stay unknown.
    names : sequence of str
        Names of the collections, for messages.
    remote : Remote, optional
        The cluster that the blocks will be read on.

    Raises
    ------
    LengthMismatch
        The collections have different numbers of rows, or were shuffled separately.
    ValueError
        Chunk lengths are not known, and the collections have different numbers of chunks.
    """
    if not is_frame(collections[0]):
        # Several collections made from one argument share its name, but keys must be unique.
        labels = names if len({*names}) == len(names) else list(map(str, range(len(names))))
        collections = list(align(dict(zip(labels, collections, strict=True))).values())
    n_blocks = len(collections[0].__dask_keys__())
    promised = [promise(each, name) for each, name in zip(collections, names, strict=True)]
    sizes = _sizes(collections)
    return RowBlocks(
        loader=task_loader(collections, range(n_blocks), remote),
        n_blocks=n_blocks,
        promised=tuple(promised),
        sizes=sizes,
        block_nbytes=None if sizes is None else max(sizes) * sum(map(_row_nbytes, collections)),
    )


def _sizes(collections: Sequence[Any]) -> tuple[int, ...] | None:
    first = collections[0]
    if is_frame(first) or not known(first):
        return None
    return tuple(map(int, first.chunks[0]))


def _row_nbytes(array: da.Array) -> int:
    return prod(map(int, array.shape[1:])) * int(array.dtype.itemsize)
