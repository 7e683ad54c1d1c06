"""One pass over aligned rows of any lazy collections: statistics, metrics, counts of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dlbd_estimators.blocks.alignment import (
    cut_like,
    have_one_source,
    known,
    lengths_needed,
    lengths_of,
    refuse_shuffled_apart,
    with_sizes,
)
from dlbd_estimators.blocks.data_frame_columns import column
from dlbd_estimators.blocks.data_frames import together
from dlbd_estimators.blocks.lazy_columns import RowBlock, RowBlocks, columns_of, row_blocks
from dlbd_estimators.blocks.sources import check_container, is_frame, is_lazy, opened
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
        The collections differ in length. If all lengths are known, nothing was computed before.
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
        refuse_shuffled_apart(columns)  # before lengths are counted
        columns = with_lengths(*columns)
    of_rows = _OfRows(kernel, combine)
    try:
        return _reduce(columns, of_rows, name, names)
    except LengthMismatch:
        if len(columns) == 1 or all(map(known, columns)):
            raise
    return _reduce(with_lengths(*columns), of_rows, name, names)


def reduce_each(
    collections: Sequence[Any],
    kernels: Sequence[Callable[[Any], Any]],
    combines: Sequence[Callable[[Any, Any], Any]],
    *,
    name: str,
) -> list[Any]:
    """Reduce several collections, each by a function of its own, in one sweep.

    Parameters
    ----------
    collections : sequence of dask.array.Array or dask.dataframe.DataFrame
        The same rows, made of one collection and cut into the same blocks: all of them arrays, or
        all of them data frames as :func:`~dlbd_estimators.blocks.data_frames.together` gives them.
    kernels : sequence of callable
        ``kernel(block) -> partial`` of each collection, under the rules of :func:`reduce_rows`.
    combines : sequence of callable
        ``combine(left, right) -> partial`` of each collection.
    name : str
        Begins the keys of the tasks.

    Returns
    -------
    list
        The partial of each collection, with the bits of a pass of its own.
    """
    blocks = row_blocks(collections, ["X"] * len(collections), remote=active_cluster())
    pairs = zip(kernels, combines, strict=True)
    passes = [Pass(_OfRows(*pair, only=place), None, name) for place, pair in enumerate(pairs)]
    with executor_for(blocks) as executor:
        return [each.partial for each in executor.sweep(passes, blocks)]


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
    return _reduce(columns_of([collection]), _OfEachBlock(function), name, [called])


def lazy_column(name: str, values: Any, X: Any = None, X_name: str = "X") -> Any:
    """Return y or sample_weight as a Dask array.

    Parameters
    ----------
    name : str
        What the user calls the values.
    values : array-like, Dask collection or Zarr array
        What the user passed.
    X : dask.array.Array, optional
        Values in memory are cut into its blocks. If their lengths are unknown, they are counted.
    X_name : str
        What the user calls X.

    Raises
    ------
    LengthMismatch
        X has another number of rows than there are values in memory.
    """
    if is_lazy(values):
        (values,) = together(opened(name, values))
        return column(values, name) if is_frame(values) else values
    check_container(name, values)  # before lengths are counted
    (X,) = with_lengths(X)
    return cut_like(X, name, values, X_name)


def with_lengths(*arrays: Any) -> list[Any]:
    """Return arrays with known lengths of all chunks; unknown ones are counted by a pass."""
    counted = iter(block_lengths(*(each for each in arrays if not known(each))))
    return [each if known(each) else with_sizes(each, next(counted)) for each in arrays]


def with_lengths_of_one_source(arrays: Sequence[Any]) -> list[Any]:
    """Return arrays whose rows can be matched: chunks of unknown length are counted where needed.

    Lengths stay unknown if all arrays come from the same source and have the same number of chunks:
    then their chunks are taken to have the same rows, as in Dask itself.

    Raises
    ------
    LengthMismatch
        Some of the arrays come from a shuffle that the others do not share.
    """
    if all(map(known, arrays)):
        return list(arrays)
    refuse_shuffled_apart(arrays)  # before lengths are counted
    if lengths_needed(arrays) or not have_one_source(*arrays):
        return with_lengths(*arrays)
    return list(arrays)


def block_lengths(*collections: Any) -> list[tuple[int, ...]]:
    """Count the rows of each block of some collections.

    Collections with the same number of blocks are counted in one pass. It reads once what their
    blocks have in common.

    Parameters
    ----------
    *collections : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        Data frames as :func:`~dlbd_estimators.blocks.data_frames.together` gives them.
    """
    lengths = [lengths_of(each) for each in collections]
    found: dict[int, tuple[int, ...]] = {}
    for number in {each.numblocks[0] for each in lengths}:
        alike = [i for i, each in enumerate(lengths) if each.numblocks[0] == number]
        names = [f"the lengths of array {i}" for i in alike]
        counts = _reduce([lengths[i] for i in alike], _OfEachBlock(_numbers), "lengths", names)
        found |= zip(alike, zip(*counts, strict=True), strict=True)
    return [found[i] for i in range(len(lengths))]


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


class _OfRows(PassKernel[RowBlock, Partial]):
    """A function of one array for each collection, as a kernel.

    Parameters
    ----------
    function, combine : callable
        The arguments ``kernel`` and ``combine`` of :func:`reduce_rows`.
    only : int, optional
        The place of the one collection that the function takes; by default it takes all.
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
        return True  # functions of rows look at the numbers themselves


class _OfEachBlock(PassKernel[RowBlock, list[Value]]):
    """A function of a block's number and its columns, whose values are listed."""

    def __init__(self, function: Callable[..., Value]) -> None:
        self._function = function

    def __call__(self, block: RowBlock, parameters: None) -> list[Value]:
        return [self._function(block.index, *block.columns)]

    def combine(self, left: list[Value], right: list[Value]) -> list[Value]:
        return left + right

    def is_finite(self, partial: list[Value]) -> bool:
        return True  # as above
