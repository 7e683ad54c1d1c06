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
    """Return one graph of all collections, the futures in it included.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        Data frames as :func:`~dlbd_estimators.blocks.data_frames.together` gives them.
    """
    # Of arrays as one expression: dask.optimize optimises each for itself, and what two of them
    # share would be read for both. Data frames are optimised already.
    arrays = [each for each in collections if not is_frame(each)]
    graph: Graph = dict(collections_to_expr(arrays).optimize().__dask_graph__()) if arrays else {}
    for each in collections:
        graph.update(each.__dask_graph__() if is_frame(each) else {})
    graph.update(_futures_in(collections))
    return graph


def _futures_in(collections: Sequence[Any]) -> Graph:
    """Return what lies on a cluster of some collections, by key.

    Optimisation leaves the names of persisted chunks without their values.
    """
    futures: Graph = {}
    for each in collections:
        graph = each.__dask_graph__()
        for layer in graph.layers.values() if isinstance(graph, HighLevelGraph) else [graph]:
            # What is still to be written out, block by block, holds tasks alone.
            if not isinstance(layer, Blockwise):
                futures |= futures_of(layer)
    return futures
