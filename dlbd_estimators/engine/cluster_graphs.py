"""Parts of a Dask graph that a cluster runs as a whole, and keeps until nothing refers to them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import dask
from dask.utils import key_split
from distributed import Client, Future, KilledWorker, as_completed

from dlbd_estimators.blocks.dask_blocks import Remote
from dlbd_estimators.blocks.graph import Graph
from dlbd_estimators.engine.inside_tasks import away_from_the_pool
from dlbd_estimators.engine.task_results import wait_for_one
from dlbd_estimators.engine.watch import Watch
from dlbd_estimators.exceptions import WorkersLost

#: How often a task is tried again that the scheduler has given up, because workers died of it or
#: beside it. It does so once for the deaths that it allows, and then for each.
_TRIES = 8
#: Seconds in which the client hears that tasks are tried again.
_NEWS = 1.0


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
        self._complete(found, list(graph))
        return dict(zip(chosen, found, strict=True))

    def handles(self, keys: Iterable[Any]) -> Graph:
        return {key: Future(key, self.client) for key in keys}

    def nbytes(self, futures: Graph) -> dict[Any, int]:
        found = self.client.nbytes(list(futures), summary=False) if futures else {}
        # What a dead worker held has to be made again, and its size is not known meanwhile.
        return {key: int(found.get(key, 2**63)) for key in futures}

    def gather(self, futures: Graph) -> Graph:
        found = self._complete(list(futures.values()), (), fetch=True)
        return {key: found[future] for key, future in futures.items()}

    def _complete(
        self, futures: list[Future[Any]], below: Sequence[Any], *, fetch: bool = False
    ) -> dict[Future[Any], Any]:
        """Wait for tasks, or for their results; try again what workers died of, or beside."""
        work = "the computation of what several blocks need"
        watch = Watch(self.client, dask.get_annotations(), work)
        keys = [*(future.key for future in futures), *below]
        tries = Counter[Any]()
        found: dict[Future[Any], Any] = {}
        left = set(futures)
        ended = as_completed(left, loop=self.client.loop, with_results=fetch, raise_errors=False)
        with away_from_the_pool():
            while left:
                if not wait_for_one(ended):
                    watch.look(keys)
                    continue
                future, result = next(ended) if fetch else (next(ended), None)
                if future.status == "error" and isinstance(future.exception(), KilledWorker):
                    self._try_again(left, tries)
                elif future.status == "finished":
                    found[future] = result
                    left.discard(future)
                elif future.status not in ("pending", "lost"):  # else Dask runs it again
                    watch.check_connection()
                    future.result()  # raises the task's own error, or its cancellation
                if future in left:
                    ended.add(future)
        return found

    def _try_again(self, futures: Iterable[Future[Any]], tries: Counter[Any]) -> None:
        """Let the scheduler try again what it has given up."""
        killed: dict[Future[Any], Any] = {}
        for future in futures:
            death = future.exception() if future.status == "error" else None
            if isinstance(death, KilledWorker):
                killed[future] = death
        deaths = {death.task: death for death in killed.values()}
        tries.update(deaths.keys())
        for task, death in deaths.items():
            if tries[task] > _TRIES:
                raise WorkersLost(
                    f"Workers died whenever they computed {key_split(task)!r} ({task}), which "
                    f"several blocks need: {death.allowed_failures + tries[task]} of them. Is it "
                    f"too large for a worker's memory, or does it crash the process? The workers' "
                    f"logs tell more."
                ) from death
        # Client.retry stumbles over tasks below, of which it has no futures.
        scheduler: Any = self.client.scheduler
        self.client.sync(scheduler.retry, keys=[each.key for each in killed], client=self.client.id)
        deadline = time.monotonic() + _NEWS
        while any(each.status == "error" for each in killed) and time.monotonic() < deadline:
            time.sleep(0.01)
