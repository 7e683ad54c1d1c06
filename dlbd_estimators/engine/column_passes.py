"""Reduce aligned rows of lazy collections in one pass: statistics, metrics, counts of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dlbd_estimators.blocks.alignment import (
    check_same_shuffle,
    known,
    lengths_needed,
    lengths_of,
    rechunk_like,
    share_source,
    with_sizes,
)
from dlbd_estimators.blocks.data_frame_columns import column
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.lazy_columns import RowBlock, RowBlocks, columns_of, row_blocks
from dlbd_estimators.blocks.sources import as_dask_collection, check_container, is_frame, is_lazy
from dlbd_estimators.engine.passes import Pass
from dlbd_estimators.engine.select import active_cluster, executor_for
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.kernels.kernel import PassKernel

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
        Collections with the same rows. The blocks are the row chunks (partitions) of the first
        collection; the columns of an array are joined to one chunk. Lengths may be unknown.
    kernel : callable
        ``kernel(*blocks) -> partial`` with one NumPy array for each collection, or a pandas frame
        if a data frame is the only collection; a block may have no rows. It must not change its
        arguments.
    combine : callable
        ``combine(left, right) -> partial``; the blocks of ``left`` come before those of ``right``.
        The shape of the reduction tree depends on the number of blocks alone. So the result has
        the same bits for any scheduler and any number of workers, even if ``combine`` is not
        exactly associative.
    name : str
        Prefix of the keys of the tasks; it names the pass on a dashboard.
    names : sequence of str
        Names of the collections, for error messages.

    Returns
    -------
    object
        The partial of all rows.

    Raises
    ------
    LengthMismatch
        The collections differ in length. If all lengths are known, it is raised before anything is
        computed.
    BlockTooLarge
        Two blocks do not fit in a worker; raised before anything is read.
    NoWorkers
        The cluster has no worker that may take a task, and none came in time.
    MissingPackage
        Workers or the scheduler cannot import what a task needs.
    WorkersLost
        Workers died whenever they read a certain block.

    Notes
    -----
    Lengths of blocks may be unknown. If collections with the same number of blocks turn out to
    have blocks of different lengths, the data is read twice more: for the lengths and the result.
    """
    names = list(names) or _names(len(collections))
    columns = columns_of(collections)
    if len(columns) > 1 and lengths_needed(columns):
        check_same_shuffle(columns)  # before lengths are counted
        columns = with_lengths(*columns)
    rows_kernel = _RowsKernel(kernel, combine)
    try:
        return _reduce(columns, rows_kernel, name, names)
    except LengthMismatch:
        if len(columns) == 1 or all(map(known, columns)):
            raise
    return _reduce(with_lengths(*columns), rows_kernel, name, names)


def reduce_each(
    collections: Sequence[Any],
    kernels: Sequence[Callable[[Any], Any]],
    combines: Sequence[Callable[[Any, Any], Any]],
    *,
    name: str,
) -> list[Any]:
    """Reduce several collections, each with its own function, in one reading of the rows.

    Parameters
    ----------
    collections : sequence of dask.array.Array or dask.dataframe.DataFrame
        Collections that were computed row by row from one collection and have the same blocks: all
        are arrays, or all are data frames that
        :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` has returned.
    kernels : sequence of callable
        ``kernel(block) -> partial`` of each collection, under the rules of :func:`reduce_rows`.
    combines : sequence of callable
        ``combine(left, right) -> partial`` of each collection.
    name : str
        Prefix of the keys of the tasks.

    Returns
    -------
    list
        The partial of each collection, with the same bits as from a separate pass.
    """
    blocks = row_blocks(collections, ["X"] * len(collections), remote=active_cluster())
    pairs = zip(kernels, combines, strict=True)
    passes = [Pass(_RowsKernel(*pair, only=place), None, name) for place, pair in enumerate(pairs)]
    with executor_for(blocks) as executor:
        return [each.partial for each in executor.sweep(passes, blocks)]


def each_block(
    collection: Any, function: Callable[[int, Any], Value], *, name: str, called: str
) -> list[Value]:
    """Return one value for each block of a Dask collection, in order, by one pass.

    Parameters
    ----------
    collection : dask.array.Array, dask.dataframe.DataFrame or Series
        The collection.
    function : callable
        ``function(number, block) -> value``; the values of all blocks are in memory together.
    name : str
        Prefix of the keys of the tasks.
    called : str
        Name of the collection, for error messages.
    """
    return _reduce(columns_of([collection]), _EachBlockKernel(function), name, [called])


def lazy_column(name: str, values: Any, X: Any = None, X_name: str = "X") -> Any:
    """Return y or sample_weight as a Dask array.

    Parameters
    ----------
    name : str
        Name of the values, for error messages.
    values : array-like, Dask collection or Zarr array
        The values that the user passed.
    X : dask.array.Array, optional
        Values in memory are cut into the blocks of X. Blocks of unknown length are counted.
    X_name : str
        Name of X, for error messages.

    Raises
    ------
    LengthMismatch
        The number of values in memory differs from the number of rows of X.
    """
    if is_lazy(values):
        (values,) = merge_graphs(as_dask_collection(name, values))
        return column(values, name) if is_frame(values) else values
    check_container(name, values)  # before lengths are counted
    (X,) = with_lengths(X)
    return rechunk_like(X, name, values, X_name)


def with_lengths(*arrays: Any) -> list[Any]:
    """Return arrays with known lengths of all chunks; unknown ones are counted by a pass."""
    counted = iter(block_lengths(*(each for each in arrays if not known(each))))
    return [each if known(each) else with_sizes(each, next(counted)) for each in arrays]


def with_lengths_of_one_source(arrays: Sequence[Any]) -> list[Any]:
    """Return arrays whose rows can be matched: chunks of unknown length are counted where needed.

    Lengths stay unknown if all arrays come from the same source and have the same number of chunks:
    then their chunks are assumed to have the same rows, as Dask itself assumes.

    Raises
    ------
    LengthMismatch
        Some of the arrays come from a shuffle that the others do not share.
    """
    if all(map(known, arrays)):
        return list(arrays)
    check_same_shuffle(arrays)  # before lengths are counted
    if lengths_needed(arrays) or not share_source(*arrays):
        return with_lengths(*arrays)
    return list(arrays)


def block_lengths(*collections: Any) -> list[tuple[int, ...]]:
    """Return the number of rows of each block of some collections.

    Collections with the same number of blocks are counted in one pass. It reads data that they
    share only once.

    Parameters
    ----------
    *collections : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        Data frames must be results of :func:`~dlbd_estimators.blocks.data_frames.merge_graphs`.
    """
    lengths = [lengths_of(each) for each in collections]
    counts_by_index: dict[int, tuple[int, ...]] = {}
    for number in {each.numblocks[0] for each in lengths}:
        group = [i for i, each in enumerate(lengths) if each.numblocks[0] == number]
        names = [f"the lengths of array {i}" for i in group]
        counts = _reduce([lengths[i] for i in group], _EachBlockKernel(_numbers), "lengths", names)
        counts_by_index |= zip(group, zip(*counts, strict=True), strict=True)
    return [counts_by_index[i] for i in range(len(lengths))]


def _names(number: int) -> list[str]:
    return ["X"] if number == 1 else [f"array {each}" for each in range(number)]


def _numbers(_: int, *columns: Any) -> tuple[int, ...]:
    return tuple(int(column[0]) for column in columns)


def _reduce(
    columns: Sequence[Any],
    kernel: PassKernel[RowBlock, Partial],
    name: str,
    names: Sequence[str],
) -> Partial:
    blocks: RowBlocks = row_blocks(columns, names, remote=active_cluster())
    with executor_for(blocks) as executor:
        return executor.map_reduce(kernel, None, blocks, name=name).partial


class _RowsKernel(PassKernel[RowBlock, Partial]):
    """Kernel that calls a function with one array for each collection.

    Parameters
    ----------
    function, combine : callable
        The arguments ``kernel`` and ``combine`` of :func:`reduce_rows`.
    only : int, optional
        Index of the only collection that the function takes; by default it takes all of them.
    """

    def __init__(
        self,
        function: Callable[..., Partial],
        combine: Callable[[Partial, Partial], Partial],
        only: int | None = None,
    ) -> None:
        self._function = function
        self._combine = combine
        self._only = only

    def __call__(self, block: RowBlock, parameters: None) -> Partial:
        columns = (
            block.columns if self._only is None else block.columns[self._only : self._only + 1]
        )
        return self._function(*columns)

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self._combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return True  # the functions check their numbers themselves


class _EachBlockKernel(PassKernel[RowBlock, list[Value]]):
    """Kernel that calls a function with a block's number and columns, and lists its values."""

    def __init__(self, function: Callable[..., Value]) -> None:
        self._function = function

    def __call__(self, block: RowBlock, parameters: None) -> list[Value]:
        return [self._function(block.index, *block.columns)]

    def combine(self, left: list[Value], right: list[Value]) -> list[Value]:
        return left + right

    def is_finite(self, partial: list[Value]) -> bool:
        return True  # the functions check their numbers themselves
