"""Merge Dask data frames whose rows belong together into one graph that keeps rows aligned.

A Dask data frame is an expression. Dask optimises it when it is computed: columns that are not
needed are not read, and several partitions may be read as one. Two columns of one frame that are
optimised separately can therefore get different partitions. If the frame was shuffled, each column
is then shuffled separately, and the rows are in different orders. :func:`merge_graphs` therefore

* optimises frames that were not shuffled as one expression, so that they get the same partitions;
* does not optimise frames that were shuffled, so that two columns of a frame share the shuffle,
  also if they are passed in two calls;
* sorts the rows that a shuffle collects, by a hash of their values. Dask leaves their order to
  chance (which thread or worker was first), so that each reading could give another order.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
from dask.base import collections_to_expr
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Alias
from dask.typing import Key

from dlbd_estimators.blocks.graph import Graph, is_barrier
from dlbd_estimators.blocks.shuffles import in_fixed_order, with_lasting_names
from dlbd_estimators.blocks.sources import is_frame


def merge_graphs(*collections: Any) -> list[Any]:
    """Merge Dask data frames whose rows belong together into one graph.

    Parameters
    ----------
    *collections : object
        Dask data frames, series and arrays; an array may be made from a shuffled data frame. Other
        objects are returned unchanged.

    Returns
    -------
    list
        The collections in the same order. Each data frame is replaced by one with the same rows and
        columns, whose graph Dask does not optimise again. Its number of partitions may differ.
    """
    collections = tuple(
        _array_in_order(each) if isinstance(each, da.Array) else each for each in collections
    )
    frames = {id(each): each for each in collections if is_frame(each) and not _is_fixed(each)}
    if not frames:
        return list(collections)
    lowered = {key: frame.expr.lower_completely() for key, frame in frames.items()}
    shuffled = [key for key, expression in lowered.items() if _is_shuffled(expression)]
    unshuffled = [key for key in frames if key not in shuffled]
    fixed = dict(
        zip(shuffled, _not_optimised([(frames[k], lowered[k]) for k in shuffled]), strict=True)
    )
    if unshuffled:
        fixed |= zip(unshuffled, _optimised([frames[key] for key in unshuffled]), strict=True)
    return [fixed.get(id(each), each) for each in collections]


def _array_in_order(array: da.Array) -> da.Array:
    """Put the rows into a fixed order, if an array was made from a shuffled data frame."""
    layers = {
        name: layer
        for name, layer in array.dask.layers.items()
        if isinstance(layer, MaterializedLayer) and any(map(is_barrier, layer))
    }
    if not layers:
        return array
    fixed = {name: MaterializedLayer(in_fixed_order(dict(each))) for name, each in layers.items()}
    graph = HighLevelGraph({**array.dask.layers, **fixed}, array.dask.dependencies)
    return da.Array(graph, array.name, array.chunks, meta=array._meta)


def _is_fixed(frame: Any) -> bool:
    return type(frame.expr).__name__ == "FromGraph"


def _is_shuffled(expression: Any) -> bool:
    # DiskShuffle, TaskShuffle, P2PShuffle, HashJoinP2P.
    return any(
        "Shuffle" in type(node).__name__ or "P2P" in type(node).__name__
        for node in expression.walk()
    )


def _not_optimised(frames: list[tuple[Any, Any]]) -> list[Any]:
    """Merge frames into one graph without optimisation, so that a shared shuffle runs once."""
    graph: Graph = {}
    for _, expression in frames:
        graph.update(expression.__dask_graph__())
    graph = in_fixed_order(with_lasting_names(graph))
    return [
        _from_graph(graph, frame, list(flatten(expression.__dask_keys__())))
        for frame, expression in frames
    ]


def _optimised(frames: list[Any]) -> list[Any]:
    """Merge frames into one graph, optimised by Dask."""
    expressions = collections_to_expr(frames).optimize()
    # If a frame was made from an array or another graph, the expression may not show a shuffle.
    graph = in_fixed_order(dict(expressions.__dask_graph__()))
    return [
        _from_graph(graph, frame, list(keys))
        for frame, keys in zip(frames, expressions.__dask_keys__(), strict=True)
    ]


def _from_graph(graph: Graph, frame: Any, keys: list[Key]) -> Any:
    import dask.dataframe as dd

    graph = {key: _with_its_key(key, task) for key, task in graph.items()}
    unknown = (None,) * (len(keys) + 1)
    divisions = frame.divisions if len(frame.divisions) == len(unknown) else unknown
    return dd.from_graph(graph, frame._meta, divisions, keys, "rows")


def _with_its_key(key: Key, task: Any) -> Any:
    # In frames from from_delayed, Dask stores aliases under a key that is not their own. It loses
    # such aliases when it optimises an array made from the frame.
    if isinstance(task, Alias) and task.key != key:
        return Alias(key, task.target)
    return task
