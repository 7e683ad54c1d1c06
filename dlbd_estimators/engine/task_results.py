"""Waits for the tasks of a pass on a Dask cluster, and sends out again what dead workers had.

Results that are :class:`~dlbd_estimators.engine.held_partials.Held` stay on their workers: where
two neighbours in the tree are there, a task joins them, and the client asks only for what is left
in the end. All others it asks for when they are there. Dask makes again what is lost with a worker,
as far as it tolerates the deaths of workers; what is beyond that is sent out again here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed, rejoin, secede
from distributed.worker import thread_state

from dlbd_estimators.engine.graph_parts import NotKept
from dlbd_estimators.engine.held_partials import Held
from dlbd_estimators.engine.reduction_tree import Node, parent, split, within
from dlbd_estimators.exceptions import WorkersLost

#: ``submit(node, attempt)`` sends out the task of a node of the tree. The first attempt (0) may
#: prefer a worker, later ones may not.
Submit = Callable[[Node, int], Future[Any]]
#: ``join(node, attempt, left, right)`` sends out the task that joins the results of two halves.
Join = Callable[[Node, int, Future[Any], Future[Any]], Future[Any]]

#: How often a block is read alone after workers that read it beside others died: a death
#: marks all tasks of its worker, so that a block may be suspected for another's fault.
_BLOCK_ATTEMPTS = 3
#: Seconds without a result after which is looked for tasks that the scheduler has nowhere to run.
_LOOK_EVERY = 5.0


def gather(
    client: Client,
    submit: Submit,
    ranges: list[Node],
    where: Callable[[Node], str],
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
    """
    with away_from_the_pool():
        tasks = _Tasks(client, submit, ranges, join)
        try:
            tasks.run()
        finally:
            tasks.cancel()
        for node in tasks.suspects:
            tasks.results[node] = _alone(tasks, node, where(node))
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
    or nothing runs any more, or it is *fetched*.

    Attributes
    ----------
    results : dict
        What has come, by node.
    suspects : list of tuple of int
        Single blocks that workers died of, or beside.
    """

    def __init__(
        self, client: Client, submit: Submit, ranges: list[Node], join: Join | None
    ) -> None:
        self.results: dict[Node, Any] = {}
        self.suspects: list[Node] = []
        self._client = client
        self._submit = submit
        self._join = join
        self._ranges = ranges
        self._attempts: Counter[Node] = Counter()
        #: Keys of the tasks that may prefer a worker.
        self._preferring: dict[Node, Any] = {}
        #: Nodes that are not joined on workers again: some died of it, or beside it.
        self._apart: set[Node] = set()
        self._running: dict[Future[Any], _Task] = {}
        self._held: dict[Node, _Task] = {}
        self._fetched: dict[Future[Any], _Task] = {}
        self._ended = as_completed(loop=client.loop)
        self._arrived = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        for node in ranges:
            self._follow(_Task(node, self.submit(node)))

    def submit(self, node: Node, *, again: bool = False) -> Future[Any]:
        """Send out the task of a node; only the first time it may prefer a worker."""
        attempt = self._attempts[node] + again
        self._attempts[node] = attempt + 1
        future = self._submit(node, attempt)
        if attempt == 0:
            self._preferring[node] = future.key
        return future

    def run(self) -> None:
        """Wait until all results have come, but those of suspects."""
        while self._running or self._held or self._fetched:
            if self._running:
                if _wait(self._ended):
                    task = self._running.pop(next(self._ended), None)
                    if task is not None:  # else it was given up, and cancelled
                        self._end(task)
                else:
                    self._send_stranded()
            elif self._held:
                for node in list(self._held):
                    self._fetch(self._held.pop(node))
            elif _wait(self._arrived):
                future, result = next(self._arrived)
                if future in self._fetched:
                    self._arrive(self._fetched.pop(future), result)
            else:
                self._send_stranded()

    def cancel(self) -> None:
        """Cancel what has not come, and let go of what is held."""
        unwanted = [*self._running, *self._fetched]
        if unwanted:
            self._client.cancel(unwanted, force=True)
        for tasks in (self._running, self._held, self._fetched):
            tasks.clear()

    def _follow(self, task: _Task) -> None:
        self._running[task.future] = task
        self._ended.add(task.future)

    def _fetch(self, task: _Task) -> None:
        self._fetched[task.future] = task
        self._arrived.add(task.future)

    def _end(self, task: _Task) -> None:
        """Go on from a task that has ended."""
        status = task.future.status
        if status in ("lost", "pending"):  # with its worker, since: Dask runs it again
            self._follow(task)
        elif status != "finished":
            self._fail(task)
        elif task.future.type is NotKept:
            self._send_again(task.node)
        elif self._join is not None and task.future.type is Held:
            self._hold(_Task(task.node, task.future), self._join)
        else:
            self._fetch(_Task(task.node, task.future))

    def _arrive(self, task: _Task, result: Any) -> None:
        if isinstance(result, NotKept):  # it was lost with its worker, and so was what made it
            self._send_again(task.node)
        elif task.future.status == "finished":
            self.results[task.node] = result
        else:  # it was lost with its worker, and could not be made again
            self._fail(task)

    def _hold(self, task: _Task, join: Join) -> None:
        """Leave a result on its worker; join it with its neighbour's, if that is there."""
        self._held[task.node] = task
        above = parent(task.node, self._ranges[-1][1])
        if above is None or above in self._apart or not self._held.keys() >= set(split(*above)):
            return
        left, right = (self._held.pop(half) for half in split(*above))
        future = join(above, self._attempts[above], left.future, right.future)
        self._attempts[above] += 1
        self._follow(_Task(above, future, (left, right)))

    def _fail(self, task: _Task) -> None:
        """Send out again, in halves, what workers died of; raise any other error."""
        if task.future.status == "cancelled":
            raise WorkersLost(
                "The cluster has cancelled a part of the pass, or lacks what it needs. If data "
                "that it kept (persisted collections, futures) were cancelled, lie on another "
                "cluster, or it was started anew since, persist them again here."
            ) from task.future.exception()
        if not _killed(task.future):
            task.future.result()  # raises the task's own error
        self._apart.add(task.node)
        for half in task.halves:
            if half.future.status == "error":
                self._fail(half)
            else:  # it was the join that failed; this is fetched in the end
                self._held[half.node] = half
        if task.halves:
            return
        start, stop = task.node
        if stop - start == 1:
            self.suspects.append(task.node)
        else:
            for node in split(start, stop):
                self._follow(_Task(node, self.submit(node, again=True)))

    def _send_stranded(self) -> None:
        """Send out again the tasks for which the scheduler has no worker.

        A task that prefers a worker may run on any other. But where the scheduler finds no worker
        at all, it keeps the task until the preferred one comes back, and a worker that is started
        again comes back as another. So it is with a task whose result was lost with its worker.
        """
        if not self._preferring:
            return
        scheduler: Any = self._client.scheduler
        keys = list(self._preferring.values())
        states = self._client.sync(scheduler.get_task_status, keys=keys)
        for node, key in list(self._preferring.items()):
            if states.get(key) == "no-worker" and node in self._preferring:
                self._give_up(node)

    def _give_up(self, node: Node) -> None:
        """Cancel what waits for the task of a node, and send out what it was made of."""
        tasks = [*self._running.values(), *self._held.values(), *self._fetched.values()]
        for task in tasks:
            if within(node, task.node):
                break
        else:
            return  # its result has come, or is not needed any more
        self._running.pop(task.future, None)
        self._held.pop(task.node, None)
        self._fetched.pop(task.future, None)
        self._client.cancel([task.future], force=True)
        if task.halves:
            self._held.update((half.node, half) for half in task.halves)
            self._give_up(node)
            return
        self._send_again(task.node)

    def _send_again(self, node: Node) -> None:
        """Send out again all that a node is made of, for any worker."""
        for part in self._ranges:
            if within(part, node):
                self._preferring.pop(part, None)
                self._follow(_Task(part, self.submit(part, again=True)))


def _wait(queue: as_completed) -> bool:
    """Wait for a future, or for a while; tell whether there is one."""
    condition = queue.thread_condition
    with condition:  # in which whoever brings one notifies
        return bool(condition.wait_for(queue.has_ready, _LOOK_EVERY))


def _alone(tasks: _Tasks, node: Node, where: str) -> Any:
    """Run one block while nothing else runs that could have killed its worker."""
    for _ in range(_BLOCK_ATTEMPTS):
        future = tasks.submit(node, again=True)
        future.exception()  # waits for the end
        if not _killed(future):
            return future.result()
    raise WorkersLost(
        f"Workers died whenever they read {where}, also while they did nothing else. Is it "
        f"too large for a worker's memory, or does reading it crash the process? The "
        f"workers' logs tell more."
    ) from future.exception()


def _killed(future: Future[Any]) -> bool:
    return future.status == "error" and isinstance(future.exception(), KilledWorker)


@contextmanager
def away_from_the_pool() -> Iterator[None]:
    """In a task, leave its thread to others while this one waits for them.

    As Dask's own ``compute`` does: fits in as many tasks as there are threads would wait for
    ever for the tasks that they have sent out.
    """
    away = False
    if getattr(thread_state, "key", None):
        try:
            secede()
            away = True
        except (AttributeError, KeyError, ValueError):
            away = False  # this thread has left before
    try:
        yield
    finally:
        if away:
            rejoin()
