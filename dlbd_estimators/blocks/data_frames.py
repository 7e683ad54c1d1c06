"""Dask data frames that belong together, brought to one graph in which their rows stay aligned.

A Dask data frame is an expression. Dask optimises it when it is computed: columns that are not
needed are not read, and partitions are read together. Two columns of one frame that are optimised
apart may so get different partitions, and if the frame was shuffled each is shuffled for itself,
into an order of its own. :func:`together` therefore

* optimises frames that were not shuffled as one expression, so that they are read alike;
* takes those that were shuffled as they are written, so that two columns of a frame share the
  shuffle, also where they come here in two calls;
* puts the rows that a shuffle has brought together into an order that their values decide. Dask
  leaves it to chance (which thread or worker was first), and would give each reading another one.
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


def together(*collections: Any) -> list[Any]:
    """Bring Dask data frames that belong together to one graph.

    Parameters
    ----------
    *collections : object
        Dask data frames and series, and arrays, which may be made of a shuffled one; all else is
        returned as it is.

    Returns
    -------
    list
        In the place of each frame one of the same rows and columns, whose graph no optimisation
        changes any more. Its number of partitions may be another.
    """
    collections = tuple(
        _array_in_order(each) if isinstance(each, da.Array) else each for each in collections
    )
    frames = {id(each): each for each in collections if is_frame(each) and not _is_fixed(each)}
    if not frames:
        return list(collections)
    lowered = {key: frame.expr.lower_completely() for key, frame in frames.items()}
    apart = [key for key, expression in lowered.items() if _is_shuffled(expression)]
    alike = [key for key in frames if key not in apart]
    fixed = dict(zip(apart, _not_optimised([(frames[k], lowered[k]) for k in apart]), strict=True))
    if alike:
        fixed |= zip(alike, _optimised([frames[key] for key in alike]), strict=True)
    return [fixed.get(id(each), each) for each in collections]


def _array_in_order(array: da.Array) -> da.Array:
    """Put rows into a fixed order where an array was made of a shuffled data frame."""
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
    """Bring frames to one graph as they are, so that a shuffle that they share runs once."""
    graph: Graph = {}
    for _, expression in frames:
        graph.update(expression.__dask_graph__())
    graph = in_fixed_order(with_lasting_names(graph))
    return [
        _from_graph(graph, frame, list(flatten(expression.__dask_keys__())))
        for frame, expression in frames
    ]


def _optimised(frames: list[Any]) -> list[Any]:
    """Bring frames to one graph that Dask has optimised."""
    expressions = collections_to_expr(frames).optimize()
    # Frames made of arrays, or of other graphs, may hold a shuffle that no expression tells of.
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
    # In frames of from_delayed, Dask stores aliases under a key that is not their own. It loses
    # them when it optimises an array made of the frame.
    if isinstance(task, Alias) and task.key != key:
        return Alias(key, task.target)
    return task
