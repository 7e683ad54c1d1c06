"""Parts of a Dask graph that a cluster runs as a whole, and keeps until nothing refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distributed import Client, Future, wait

from dlbd_estimators.blocks.dask_blocks import Remote
from dlbd_estimators.blocks.graph import Graph
from dlbd_estimators.engine.task_results import away_from_the_pool


class ClusterGraphs(Remote):
    """Runs graphs on the cluster of a client, as Dask's own ``persist`` does.

    Parameters
    ----------
    client : distributed.Client
        The active client.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def persist(self, graph: Graph, keys: Sequence[Any]) -> Graph:
        chosen = list(keys)
        found: list[Future[Any]] = self.client.get(graph, chosen, sync=False)
        with away_from_the_pool():
            wait(found)
        for future in found:
            if future.status != "finished":
                future.result()  # raises the task's own error, or its cancellation
        return dict(zip(chosen, found, strict=True))

    def handles(self, keys: Iterable[Any]) -> Graph:
        return {key: Future(key, self.client) for key in keys}

    def nbytes(self, futures: Graph) -> dict[Any, int]:
        found = self.client.nbytes(list(futures), summary=False) if futures else {}
        # What a dead worker held has to be made again, and its size is not known meanwhile.
        return {key: int(found.get(key, 2**63)) for key in futures}

    def gather(self, futures: Graph) -> Graph:
        keys = list(futures)
        return dict(zip(keys, self.client.gather([futures[key] for key in keys]), strict=True))
