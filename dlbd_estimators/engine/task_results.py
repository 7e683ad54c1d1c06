"""Waits for the tasks of a pass on a Dask cluster, and sends out again what dead workers had.

Results that are :class:`~dlbd_estimators.engine.held_partials.Held` stay on their workers: where
two neighbours in the tree are there, a task joins them, and the client asks only for what is left
in the end. All others it asks for when they are there. Dask makes again what is lost with a worker,
as far as it tolerates the deaths of workers; what is beyond that is sent out again here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, Future, KilledWorker, as_completed

from dlbd_estimators.engine.graph_parts import NotKept
from dlbd_estimators.engine.held_partials import Held
from dlbd_estimators.engine.inside_tasks import away_from_the_pool
from dlbd_estimators.engine.reduction_tree import Node, parent, split, uncovered
from dlbd_estimators.engine.waits import Wait
from dlbd_estimators.engine.watch import LOOK_EVERY, Watch
from dlbd_estimators.exceptions import ClusterError, WorkersLost

#: ``submit(node, attempt)`` sends out the task of a node of the tree. The first attempt (0) may
#: prefer a worker, later ones may not.
Submit = Callable[[Node, int], Future[Any]]
#: ``join(node, attempt, left, right)`` sends out the task that joins the results of two halves.
Join = Callable[[Node, int, Future[Any], Future[Any]], Future[Any]]

#: A block that took so many workers with it while it was read alone is taken for the cause. A
#: death marks all tasks of its worker, so that a block may be suspected for another's fault.
_BLOCK_DEATHS = 4
_CAUSES = (
    "Is it too large for a worker's memory, or does reading it crash the process? The workers' "
    "logs tell more."
)


def gather(
    client: Client,
    submit: Submit,
    ranges: list[Node],
    where: Callable[[Node], str],
    watch: Watch,
    join: Join | None = None,
) -> dict[Node, Any]:
    """Send out tasks and gather their results; send out again those whose workers died.

    Parameters
    ----------
    client : distributed.Client
        That ``submit`` uses.
    submit : callable
        Sends out a task.
    ranges : list of tuple of int
        Nodes of the tree, in order: one task each, which may be split into single blocks.
    where : callable
        Names a single block, for the error.
    watch : Watch
        Looks at what becomes of the tasks.
    join : callable, optional
        Sends out a task that joins results which stay on their workers.

    Returns
    -------
    results : dict
        Of nodes that together cover ``ranges``.

    Raises
    ------
    WorkersLost
        Workers died whenever they read one block.
    ClusterError
        No worker was there for too long, or the scheduler is gone.
    """
    with away_from_the_pool():
        tasks = _Tasks(client, submit, ranges, where, watch, join)
        try:
            tasks.run()
        finally:
            tasks.cancel()
        return tasks.results


@dataclass(frozen=True)
class _Task:
    """The task of a node; of one that joins, with the tasks of both halves, should it fail."""

    node: Node
    future: Future[Any]
    halves: tuple[_Task, ...] = ()


class _Tasks:
    """Tasks that were sent out.

    Each is *running* until it has ended. Then its result is *held* on its worker until it is joined
    or nothing runs any more, or it is *fetched*. Blocks that workers died of, or beside, are
    *suspects*: each is read alone, and what still ran is sent out again after them.

    Attributes
    ----------
    results : dict
        What has come, by node.
    """

    def __init__(
        self,
        client: Client,
        submit: Submit,
        ranges: list[Node],
        where: Callable[[Node], str],
        watch: Watch,
        join: Join | None,
    ) -> None:
        self.results: dict[Node, Any] = {}
        self._client = client
        self._submit = submit
        self._where = where
        self._watch = watch
        self._join = join
        self._ranges = ranges
        self._attempts: Counter[Node] = Counter()
        #: Keys of all tasks: what is waited for may need those that ended long ago again.
        self._keys: list[Any] = []
        #: Nodes that are not joined on workers again: some died of it, or beside it.
        self._apart: set[Node] = set()
        self._suspects: list[Node] = []
        #: Of one task, the most workers that it has taken with it.
        self._most_deaths = 0
        self._running: dict[Future[Any], _Task] = {}
        self._held: dict[Node, _Task] = {}
        self._fetched: dict[Future[Any], _Task] = {}
        self._ended = as_completed(loop=client.loop)
        self._arrived = as_completed(loop=client.loop, with_results=True, raise_errors=False)

    def run(self) -> None:
        """Send out all tasks, and wait until all results have come."""
        self._send_missing(again=False)
        while self._running or self._held or self._fetched:
            self._take_arrived()
            if self._running:
                self._await_end()
            elif self._held:
                for node in list(self._held):
                    self._fetch(self._held.pop(node))
            elif self._fetched and not wait_for_one(self._arrived):
                self._look()
            if self._suspects:
                self._suspect_all()
                self.cancel()
                for node in sorted(self._suspects):
                    self._read_alone(node)
                self._suspects.clear()
                self._send_missing()

    def cancel(self) -> None:
        """Cancel what has not come, and let go of what is held."""
        unwanted = [*self._running, *self._fetched]
        if unwanted and self._client.status == "running":
            self._client.cancel(unwanted, force=True)
        for tasks in (self._running, self._held, self._fetched):
            tasks.clear()

    def _send_missing(self, *, again: bool = True) -> None:
        """Send out all that is neither there nor on its way."""
        covered = np.zeros(self._ranges[-1][1], bool)
        tasks = (*self._running.values(), *self._fetched.values())
        for start, stop in (*self.results, *self._held, *(task.node for task in tasks)):
            covered[start:stop] = True
        for node in self._ranges:
            for part in uncovered(node, covered):
                self._follow(_Task(part, self._send(part, again=again)))

    def _send(self, node: Node, *, again: bool) -> Future[Any]:
        """Send out the task of a node; only the first time it may prefer a worker."""
        attempt = max(self._attempts[node], int(again))
        self._attempts[node] = attempt + 1
        future = self._submit(node, attempt)
        self._keys.append(future.key)
        return future

    def _follow(self, task: _Task) -> None:
        self._running[task.future] = task
        self._ended.add(task.future)

    def _fetch(self, task: _Task) -> None:
        self._fetched[task.future] = task
        self._arrived.add(task.future)

    def _take_arrived(self) -> None:
        """Take what has come meanwhile, so that no death of a worker makes it necessary again."""
        while self._arrived.has_ready():
            future, result = next(self._arrived)
            task = self._fetched.pop(future, None)
            if task is not None:  # else it was given up
                self._arrive(task, result)

    def _await_end(self) -> None:
        if not wait_for_one(self._ended):
            self._look()
            return
        task = self._running.pop(next(self._ended), None)
        if task is not None:  # else it was given up
            self._end(task)

    def _end(self, task: _Task) -> None:
        """Go on from a task that has ended."""
        status = task.future.status
        if status in ("lost", "pending"):  # with its worker, since: Dask runs it again
            self._follow(task)
        elif status != "finished":
            self._fail(task)
        elif task.future.type is NotKept:
            self._send_missing()
        elif self._join is not None and task.future.type is Held:
            self._hold(_Task(task.node, task.future), self._join)
        else:
            self._fetch(_Task(task.node, task.future))

    def _arrive(self, task: _Task, result: Any) -> None:
        if isinstance(result, NotKept):  # it was lost with its worker, and so was what made it
            self._send_missing()
        elif task.future.status == "finished":
            self.results[task.node] = result
        else:  # it was lost with its worker, and could not be made again
            self._end(task)

    def _hold(self, task: _Task, join: Join) -> None:
        """Leave a result on its worker; join it with its neighbour's, if that is there."""
        self._held[task.node] = task
        above = parent(task.node, self._ranges[-1][1])
        if above is None or above in self._apart or not self._held.keys() >= set(split(*above)):
            return
        left, right = (self._held.pop(half) for half in split(*above))
        future = join(above, self._attempts[above], left.future, right.future)
        self._attempts[above] += 1
        self._keys.append(future.key)
        self._follow(_Task(above, future, (left, right)))

    def _fail(self, task: _Task) -> None:
        """Suspect all blocks of a task that workers died of; raise any other error."""
        if task.future.status == "cancelled":
            self._watch.check_connection(self._progress())
            raise WorkersLost(
                "The cluster has cancelled a part of the pass, or lacks what it needs. If data "
                "that it kept (persisted collections, futures) were cancelled, lie on another "
                "cluster, or it was started anew since, persist them again here."
            ) from task.future.exception()
        if _deaths(task.future) == 0:
            task.future.result()  # raises the task's own error
        for half in task.halves:
            self._apart.add(task.node)
            if half.future.status == "error":
                self._fail(half)
            else:  # it was the join that failed; this is fetched in the end
                self._held[half.node] = half
        self._most_deaths = max(self._most_deaths, _deaths(task.future))
        if not task.halves:
            start, stop = task.node
            self._suspects += [(block, block + 1) for block in range(start, stop)]

    def _suspect_all(self) -> None:
        """Take what else ended with the same worker, before any of it is cancelled as running."""
        self._client.sync(asyncio.sleep, 0)  # the scheduler's message has been read to its end then
        for tasks in (self._running, self._fetched):
            for task in list(tasks.values()):
                if task.future.status == "error":
                    del tasks[task.future]
                    self._fail(task)

    def _read_alone(self, node: Node) -> None:
        """Read one block while nothing else runs that could have killed its worker."""
        deaths = 0
        while deaths < _BLOCK_DEATHS:
            future = self._send(node, again=True)
            self._fetch(_Task(node, future))
            while future in self._fetched:
                if wait_for_one(self._arrived):
                    self._take_alone(node, future)
                else:
                    alone = f"{self._where(node)} is read alone, as workers died"
                    self._look_out(f"{self._progress()}; {alone}")
            if node in self.results:
                return
            deaths += max(1, _deaths(future))
        raise WorkersLost(
            f"Workers died whenever they read {self._where(node)}, also while they did nothing "
            f"else: {deaths} of them when it was read alone. {_CAUSES}"
        ) from _error(future)

    def _take_alone(self, node: Node, future: Future[Any]) -> None:
        arrived, result = next(self._arrived)
        if arrived is not future:  # one that was given up
            return
        del self._fetched[future]
        if future.status == "finished":
            self.results[node] = result
        elif future.status in ("error", "cancelled") and _deaths(future) == 0:
            self._fail(_Task(node, future))  # raises

    def _look(self) -> None:
        """Look at what is waited for; send out again all that is, if some has nowhere to run."""
        if self._look_out(self._progress()):
            self.cancel()
            self._send_missing()

    def _look_out(self, progress: str) -> bool:
        """Look at what is waited for; not for long, where our tasks have ended all workers."""
        if self._most_deaths < _BLOCK_DEATHS:
            return self._watch.look(self._keys, progress)
        try:
            return self._watch.look(self._keys, progress, Wait.WORKERS)
        except ClusterError as error:
            self._watch.check_connection(progress)
            raise WorkersLost(
                f"{self._most_deaths} workers died one after the other of blocks that were read "
                f"together, and no worker is left ({progress}). {_CAUSES} A LocalCluster gives up "
                f"a worker that is not there 15 s after a death "
                f"(distributed.deploy.lost-worker-timeout)."
            ) from error

    def _progress(self) -> str:
        left = len(self._running) + len(self._held) + len(self._fetched)
        return f"{len(self.results)} results had come, {left} had not"


def wait_for_one(queue: as_completed) -> bool:
    """Wait for a future, or for a while; tell whether there is one."""
    condition = queue.thread_condition
    with condition:  # in which whoever brings one notifies
        return bool(condition.wait_for(queue.has_ready, LOOK_EVERY))


def _deaths(future: Future[Any]) -> int:
    """Return how many workers a task has taken with it, when the scheduler has given it up."""
    error = _error(future)
    return error.allowed_failures + 1 if isinstance(error, KilledWorker) else 0


def _error(future: Future[Any]) -> BaseException | None:
    """Return the error of a task, without waiting for one that has none yet."""
    return future.exception() if future.status == "error" else None
