"""Wait for the tasks of a pass on a Dask cluster, and repeat tasks whose workers died.

Results of type :class:`~dlbd_estimators.engine.held_partials.Held` stay on their workers. When the
results of two neighbours in the tree are there, a task joins them, and the client fetches only the
results that remain in the end. The client fetches all other results as they arrive. Dask itself
repeats tasks whose workers died, up to its own limit of deaths. Beyond that limit, this module
sends them again.
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
from dlbd_estimators.engine.inside_tasks import seceded
from dlbd_estimators.engine.pass_progress import current_pass
from dlbd_estimators.engine.reduction_tree import Node, parent, split, uncovered
from dlbd_estimators.engine.waits import Wait
from dlbd_estimators.engine.watch import LOOK_EVERY, Watch
from dlbd_estimators.exceptions import ClusterError, WorkersLost

#: ``submit(node, attempt)`` sends the task of a node of the tree. Only the first attempt (0) may
#: prefer a worker.
Submit = Callable[[Node, int], Future[Any]]
#: ``join(node, attempt, left, right)`` sends the task that joins the results of two halves.
Join = Callable[[Node, int, Future[Any], Future[Any]], Future[Any]]

#: If so many workers died while they read a block and ran no other task, the block is taken for the
#: cause. Other deaths do not count: Dask attributes a death to all tasks that the worker ran.
_BLOCK_DEATHS = 4
_CAUSES = (
    "Is it too large for a worker's memory, or does reading it crash the process? The workers' "
    "logs show more."
)


def gather(
    client: Client,
    submit: Submit,
    ranges: list[Node],
    where: Callable[[Node], str],
    watch: Watch,
    join: Join | None = None,
) -> dict[Node, Any]:
    """Send tasks and gather their results; send a task again if its worker died.

    Parameters
    ----------
    client : distributed.Client
        The client that ``submit`` uses.
    submit : callable
        Sends a task.
    ranges : list of tuple of int
        Nodes of the tree, in order: one task each, which may be split into single blocks.
    where : callable
        ``where(node)`` describes a single block, for the error.
    watch : Watch
        Looks at the state of the tasks on the cluster.
    join : callable, optional
        Sends a task that joins results which stay on their workers.

    Returns
    -------
    results : dict
        Results by node. The nodes together cover ``ranges``.

    Raises
    ------
    WorkersLost
        Workers died whenever they read one block.
    ClusterError
        There was no worker for too long, or the scheduler is gone.
    """
    with seceded():
        tasks = _Tasks(client, submit, ranges, where, watch, join)
        try:
            tasks.run()
        finally:
            tasks.cancel()
        return tasks.results


@dataclass(frozen=True)
class _Task:
    """The task of a node. A task that joins also has the tasks of both halves, in case it fails."""

    node: Node
    future: Future[Any]
    halves: tuple[_Task, ...] = ()


class _Tasks:
    """The tasks of a pass that were sent.

    A task is *running* until it has ended. Then its result is *fetched*, or it is *held* on its
    worker until it is joined or no task runs any more. Blocks that were being read when a worker
    died are *suspects*. Each is read alone; then the other tasks that had not ended are sent again.

    Attributes
    ----------
    results : dict
        Results that the client has, by node.
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
        #: Keys of all tasks, also of ended ones: a running task may need their results again.
        self._keys: list[Any] = []
        #: Nodes whose halves are not joined on workers again, because workers died meanwhile.
        self._no_rejoin: set[Node] = set()
        self._suspects: list[Node] = []
        #: The largest number of workers that died while they ran the same task.
        self._most_deaths = 0
        self._running: dict[Future[Any], _Task] = {}
        self._held: dict[Node, _Task] = {}
        self._fetched: dict[Future[Any], _Task] = {}
        self._ended = as_completed(loop=client.loop)
        self._arrived = as_completed(loop=client.loop, with_results=True, raise_errors=False)

    def run(self) -> None:
        """Send all tasks, and wait until all results have arrived."""
        self._send_missing(again=False)
        while self._running or self._held or self._fetched:
            self._receive_arrived()
            current_pass().look(self.results, self._held)
            if self._running:
                self._await_end()
            elif self._held:
                for node in list(self._held):
                    self._fetch(self._held.pop(node))
            elif self._fetched and not wait_for_one(self._arrived):
                self._resend_stranded()
            if self._suspects:
                self._suspect_all()
                self.cancel()
                for node in sorted(self._suspects):
                    self._read_alone(node)
                self._suspects.clear()
                self._send_missing()

    def cancel(self) -> None:
        """Cancel tasks that have not ended, and release results that are held on workers."""
        unwanted = [*self._running, *self._fetched]
        if unwanted and self._client.status == "running":
            self._client.cancel(unwanted, force=True)
        for tasks in (self._running, self._held, self._fetched):
            tasks.clear()

    def _send_missing(self, *, again: bool = True) -> None:
        """Send the tasks of all blocks that have no result and no running task."""
        covered = np.zeros(self._ranges[-1][1], bool)
        tasks = (*self._running.values(), *self._fetched.values())
        for start, stop in (*self.results, *self._held, *(task.node for task in tasks)):
            covered[start:stop] = True
        for node in self._ranges:
            for part in uncovered(node, covered):
                self._follow(_Task(part, self._send(part, again=again)))

    def _send(self, node: Node, *, again: bool) -> Future[Any]:
        """Send the task of a node. Only the first attempt may prefer a worker."""
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

    def _receive_arrived(self) -> None:
        """Fetch results that have arrived, so that the death of a worker cannot lose them."""
        while self._arrived.has_ready():
            future, result = next(self._arrived)
            task = self._fetched.pop(future, None)
            if task is not None:  # else the task was cancelled
                self._receive(task, result)

    def _await_end(self) -> None:
        if not wait_for_one(self._ended):
            self._resend_stranded()
            return
        task = self._running.pop(next(self._ended), None)
        if task is not None:  # else the task was cancelled
            self._end(task)

    def _end(self, task: _Task) -> None:
        """Handle a task that has ended."""
        status = task.future.status
        if status in ("lost", "pending"):  # its worker has died meanwhile, and Dask runs it again
            self._follow(task)
        elif status != "finished":
            self._fail(task)
        elif task.future.type is NotKept:
            self._send_missing()
        elif self._join is not None and task.future.type is Held:
            self._hold(_Task(task.node, task.future), self._join)
        else:
            self._fetch(_Task(task.node, task.future))

    def _receive(self, task: _Task, result: Any) -> None:
        if isinstance(result, NotKept):  # its worker has died, and had the graph part that it needs
            self._send_missing()
        elif task.future.status == "finished":
            self.results[task.node] = result
        else:  # its worker has died, and computing it again failed
            self._end(task)

    def _hold(self, task: _Task, join: Join) -> None:
        """Leave a result on its worker; join it with its neighbour's result if both are held."""
        self._held[task.node] = task
        above = parent(task.node, self._ranges[-1][1])
        if above is None or above in self._no_rejoin or not self._held.keys() >= set(split(*above)):
            return
        left, right = (self._held.pop(half) for half in split(*above))
        future = join(above, self._attempts[above], left.future, right.future)
        self._attempts[above] += 1
        self._keys.append(future.key)
        self._follow(_Task(above, future, (left, right)))

    def _fail(self, task: _Task) -> None:
        """Suspect all blocks of a task if workers died while they ran it; raise any other error."""
        if task.future.status == "cancelled":
            self._watch.check_connection(self._progress())
            raise WorkersLost(
                "The cluster has cancelled a part of the pass, or lacks data that the pass needs. "
                "Persisted collections and futures are lost when they are cancelled and when the "
                "cluster restarts, and another cluster does not have them: persist them again here."
            ) from task.future.exception()
        if _deaths(task.future) == 0:
            task.future.result()  # raises the task's own error
        for half in task.halves:
            self._no_rejoin.add(task.node)
            if half.future.status == "error":
                self._fail(half)
            else:  # only the join failed: the result of this half is fetched in the end
                self._held[half.node] = half
        self._most_deaths = max(self._most_deaths, _deaths(task.future))
        if not task.halves:
            start, stop = task.node
            self._suspects += [(block, block + 1) for block in range(start, stop)]

    def _suspect_all(self) -> None:
        """Handle all tasks that failed when a worker died, before running tasks are cancelled."""
        self._client.sync(asyncio.sleep, 0)  # lets the client read the scheduler's whole message
        for tasks in (self._running, self._fetched):
            for task in list(tasks.values()):
                if task.future.status == "error":
                    del tasks[task.future]
                    self._fail(task)

    def _read_alone(self, node: Node) -> None:
        """Read one block alone: then no other task can be the cause of a worker's death."""
        deaths = 0
        while deaths < _BLOCK_DEATHS:
            future = self._send(node, again=True)
            self._fetch(_Task(node, future))
            while future in self._fetched:
                if wait_for_one(self._arrived):
                    self._receive_alone(node, future)
                else:
                    suspect = f"{self._where(node)} is read alone, because workers died"
                    self._look_or_give_up(f"{self._progress()}; {suspect}")
            if node in self.results:
                return
            deaths += max(1, _deaths(future))
        raise WorkersLost(
            f"Workers died whenever they read {self._where(node)}, even without any other task: "
            f"{deaths} workers died while they ran nothing else. {_CAUSES}"
        ) from _error(future)

    def _receive_alone(self, node: Node, future: Future[Any]) -> None:
        arrived, result = next(self._arrived)
        if arrived is not future:  # an earlier future, which was cancelled
            return
        del self._fetched[future]
        if future.status == "finished":
            self.results[node] = result
        elif future.status in ("error", "cancelled") and _deaths(future) == 0:
            self._fail(_Task(node, future))  # raises

    def _resend_stranded(self) -> None:
        """Look at the running tasks; send all of them again if the scheduler cannot place some."""
        if self._look_or_give_up(self._progress()):
            self.cancel()
            self._send_missing()

    def _look_or_give_up(self, progress: str) -> bool:
        """Look at the running tasks; give up sooner if our tasks have killed all workers."""
        if self._most_deaths < _BLOCK_DEATHS:
            return self._watch.look(self._keys, progress)
        try:
            return self._watch.look(self._keys, progress, Wait.WORKERS)
        except ClusterError as error:
            self._watch.check_connection(progress)
            raise WorkersLost(
                f"{self._most_deaths} workers died one after the other while they read the same "
                f"blocks, and no worker is left ({progress}). {_CAUSES} A LocalCluster does not "
                f"replace a worker that is missing for 15 s after a death "
                f"(distributed.deploy.lost-worker-timeout)."
            ) from error

    def _progress(self) -> str:
        left = len(self._running) + len(self._held) + len(self._fetched)
        return f"{len(self.results)} results had arrived, {left} had not"


def wait_for_one(queue: as_completed) -> bool:
    """Wait for the next future, for a limited time; return whether one has arrived."""
    condition = queue.thread_condition
    with condition:  # notified whenever a future comes
        return bool(condition.wait_for(queue.has_ready, LOOK_EVERY))


def _deaths(future: Future[Any]) -> int:
    """Return how many workers died while they ran a task that the scheduler has given up."""
    error = _error(future)
    return error.allowed_failures + 1 if isinstance(error, KilledWorker) else 0


def _error(future: Future[Any]) -> BaseException | None:
    """Return the error of a task, or None at once if it has none yet."""
    return future.exception() if future.status == "error" else None
