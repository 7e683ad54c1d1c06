"""One pass over aligned rows of any lazy collections: statistics, metrics, counts of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dlbd_estimators.blocks_align import known, with_lengths
from dlbd_estimators.blocks_rows import RowBlock, RowBlocks, aligned_rows, row_blocks
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.execution.select import active_cluster, executor_for
from dlbd_estimators.objectives.kernels import PassKernel

Partial = TypeVar("Partial")
Value = TypeVar("Value")


def reduce_rows(
    collections: Sequence[Any],
    kernel: Callable[..., Partial],
    combine: Callable[[Partial, Partial], Partial],
    *,
    name: str,
    names: Sequence[str] = (),
) -> Partial:
    """Reduce aligned rows of Dask collections to one value, in one pass.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Rows that belong together. Blocks are the row chunks (partitions) of the first; the
        columns of an array are joined to one chunk. Lengths may be unknown.
    kernel : callable
        ``kernel(*blocks) -> partial`` with one NumPy array for each collection, or a pandas frame
        where a data frame is the only one; a block may have no rows. It must not change its
        arguments.
    combine : callable
        ``combine(left, right) -> partial``, blocks of ``left`` before those of ``right``.
        The tree depends on the number of blocks alone: the same bits for any scheduler and
        any number of workers, also where ``combine`` is not exactly associative.
    name : str
        Begins the keys of the tasks, and so names the pass on a dashboard.
    names : sequence of str
        What the user calls the collections, for messages.

    Returns
    -------
    object
        The partial of all rows.

    Raises
    ------
    LengthMismatch
        The collections differ in length; before computing where lengths are known.
    BlockTooLarge, NoWorkers, MissingPackage, WorkersLost
        As for any pass of a fit.

    Notes
    -----
    Where lengths are unknown, and as many blocks turn out to be cut differently, the data is
    read again: once for the lengths, and once for the result.
    """
    names = list(names) or _names(len(collections))
    aligned = aligned_rows(collections, names)
    of_rows = _OfRows(kernel, combine)
    try:
        return _reduce(aligned, of_rows, name, names)
    except LengthMismatch:
        if len(aligned) == 1 or all(known(each) for each in aligned):
            raise
    aligned = aligned_rows(with_lengths(*aligned), names)
    return _reduce(aligned, of_rows, name, names)


def each_block(
    collection: Any, function: Callable[[int, Any], Value], *, name: str, called: str
) -> list[Value]:
    """Return one value for each block of a Dask collection, in order, by one pass.

    Parameters
    ----------
    collection : dask.array.Array, dask.dataframe.DataFrame or Series
        Whose blocks.
    function : callable
        ``function(number, block) -> value``; values of all blocks are held at once.
    name : str
        Begins the keys of the tasks.
    called : str
        What the user calls the collection, for messages.
    """
    aligned = aligned_rows([collection], [called])
    return _reduce(aligned, _OfEachBlock(function), name, [called])


def _names(number: int) -> list[str]:
    return ["X"] if number == 1 else [f"array {each}" for each in range(number)]


def _reduce(
    aligned: Sequence[Any],
    kernel: PassKernel[RowBlock, Partial],
    name: str,
    names: Sequence[str],
) -> Partial:
    blocks: RowBlocks = row_blocks(aligned, names, remote=active_cluster())
    with executor_for(blocks) as executor:
        return executor.map_reduce(kernel, None, blocks, name=name).partial


class _OfRows(PassKernel[RowBlock, Partial]):
    """A function of one array for each collection, as a kernel."""

    def __init__(
        self, function: Callable[..., Partial], combine: Callable[[Partial, Partial], Partial]
    ) -> None:
        self._function = function
        self._combine = combine

    def __call__(self, block: RowBlock, parameters: None) -> Partial:
        return self._function(*block.columns)

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self._combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return True  # functions of rows look at the numbers themselves


class _OfEachBlock(PassKernel[RowBlock, list[Value]]):
    """A function of a block and its number, whose values are listed."""

    def __init__(self, function: Callable[[int, Any], Value]) -> None:
        self._function = function

    def __call__(self, block: RowBlock, parameters: None) -> list[Value]:
        return [self._function(block.index, *block.columns)]

    def combine(self, left: list[Value], right: list[Value]) -> list[Value]:
        return left + right

    def is_finite(self, partial: list[Value]) -> bool:
        return True  # as above
