"""Run parts of a Dask graph on a cluster, which keeps the results while anything refers to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from dask import get_annotations
from dask.utils import key_split
from distributed import Client, Future, KilledWorker, as_completed

from dlbd_estimators.blocks.dask_blocks import Remote
from dlbd_estimators.blocks.graph import Graph
from dlbd_estimators.engine.inside_tasks import seceded
from dlbd_estimators.engine.task_results import wait_for_one
from dlbd_estimators.engine.watch import Watch
from dlbd_estimators.exceptions import WorkersLost

#: After so many deaths of workers that ran the same task, the task is taken for the cause.
_TASK_DEATHS = 8
#: After so many deaths of workers in total, whatever tasks they ran, the computation is given up.
_ALL_DEATHS = 40


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
        deaths = Counter[Any]()
        while True:
            found: list[Future[Any]] = self.client.get(graph, chosen, sync=False)
            try:
                self._complete(found, list(graph))
            except KilledWorker as death:
                deaths[death.task] += death.allowed_failures + 1
                if deaths[death.task] >= _TASK_DEATHS or deaths.total() >= _ALL_DEATHS:
                    raise _lost(death, deaths) from death
                # Send all tasks again: after several failures Client.retry leaves some waiting for
                # ever.
                for future in found:
                    future.release()
                self.client.sync(asyncio.sleep, 0)  # releasing is done by the client's loop
            else:
                return dict(zip(chosen, found, strict=True))

    def futures_by_key(self, keys: Iterable[Any]) -> Graph:
        return {key: Future(key, self.client) for key in keys}

    def nbytes(self, futures: Graph) -> dict[Any, int]:
        found = self.client.nbytes(list(futures), summary=False) if futures else {}
        # Results of a dead worker are computed again; their sizes are not known meanwhile.
        return {key: int(found.get(key, 2**63)) for key in futures}

    def gather(self, futures: Graph) -> Graph:
        try:
            self._complete(list(futures.values()), ())
        except KilledWorker as death:
            deaths = Counter({death.task: death.allowed_failures + 1})
            raise _lost(death, deaths) from death
        keys = list(futures)
        return dict(zip(keys, self.client.gather([futures[key] for key in keys]), strict=True))

    def _complete(self, futures: list[Future[Any]], below: Sequence[Any]) -> None:
        """Wait until all tasks have ended; raise the error of a task that has failed."""
        work = "the computation of data that several blocks need"
        watch = Watch(self.client, get_annotations(), work)
        keys = [*(future.key for future in futures), *below]
        ended = as_completed(futures, loop=self.client.loop)
        left = set(futures)
        with seceded():
            while left:
                if not wait_for_one(ended):
                    watch.look(keys)
                    continue
                future = next(ended)
                if future.status in ("pending", "lost"):  # its worker died; Dask runs it again
                    ended.add(future)
                    continue
                left.discard(future)
                if future.status != "finished":
                    watch.check_connection()
                    future.result()  # raises the task's own error, or its cancellation


def _lost(death: KilledWorker, deaths: Counter[Any]) -> WorkersLost:
    return WorkersLost(
        f"Workers died whenever they computed data that several blocks need: {deaths.total()} in "
        f"total, {deaths[death.task]} of them while they ran {key_split(death.task)!r} "
        f"({death.task}). Is its result too large for a worker's memory, or does it crash the "
        f"process? The workers' logs show more."
    )
