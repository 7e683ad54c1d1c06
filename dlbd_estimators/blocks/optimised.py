"""One graph of several collections, optimised by Dask as if they were computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.base import collections_to_expr
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph

from dlbd_estimators.blocks.graph import Graph, futures_of
from dlbd_estimators.blocks.sources import is_frame


def optimised(collections: Sequence[Any]) -> Graph:
    """Return one optimised graph of all collections, including the futures in it.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Data frames as :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` returns them.
    """
    # Optimise the arrays as one expression: dask.optimize optimises each array separately, and
    # inputs that two arrays share would be read twice. Data frames are already optimised.
    arrays = [collection for collection in collections if not is_frame(collection)]
    graph: Graph = dict(collections_to_expr(arrays).optimize().__dask_graph__()) if arrays else {}
    for collection in collections:
        graph.update(collection.__dask_graph__() if is_frame(collection) else {})
    graph.update(_futures_in(collections))
    return graph


def _futures_in(collections: Sequence[Any]) -> Graph:
    """Return the futures in the graphs of collections, by key.

    An optimised graph holds the keys of persisted chunks, but not their futures.
    """
    futures: Graph = {}
    for collection in collections:
        graph = collection.__dask_graph__()
        for layer in graph.layers.values() if isinstance(graph, HighLevelGraph) else [graph]:
            # A Blockwise layer has no futures; to look at its tasks would materialise it.
            if not isinstance(layer, Blockwise):
                futures |= futures_of(layer)
    return futures
