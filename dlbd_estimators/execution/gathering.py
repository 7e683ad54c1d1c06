"""Waits for the tasks of a pass on a Dask cluster, and sends out again what dead workers had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed, rejoin, secede
from distributed.worker import thread_state

from dlbd_estimators.exceptions import WorkersLost
from dlbd_estimators.execution.reduce import split

Node = tuple[int, int]
#: ``submit(node, attempt)`` sends out the task of a node of the tree. The first attempt (0) may
#: prefer a worker, later ones may not.
Submit = Callable[[Node, int], Future[Any]]

#: How often a block is read alone after workers that read it beside others died: a death
#: marks all tasks of its worker, so that a block may be suspected for another's fault.
_BLOCK_ATTEMPTS = 3
#: Seconds without a result after which is looked for tasks that the scheduler has nowhere to run.
_LOOK_EVERY = 5.0


def gather(
    client: Client, submit: Submit, ranges: list[Node], where: Callable[[Node], str]
) -> dict[Node, Any]:
    """Send out tasks and gather their results; send out again those whose workers died.

    Parameters
    ----------
    client : distributed.Client
        That ``submit`` uses.
    submit : callable
        Sends out a task.
    ranges : list of tuple of int
        Nodes of the tree: one task each, which may be split into single blocks.
    where : callable
        Names a single block, for the error.

    Raises
    ------
    WorkersLost
        Workers died whenever they read one block.
    """
    with _away_from_the_pool():
        return _gather(client, submit, ranges, where)


def _gather(
    client: Client, submit: Submit, ranges: list[Node], where: Callable[[Node], str]
) -> dict[Node, Any]:
    tasks = _Tasks(client, submit, ranges)
    suspects: list[Node] = []
    results: dict[Node, Any] = {}
    try:
        for node, future, outcome in tasks.ended():
            if future.status == "finished":
                results[node] = outcome
            elif not _killed(future):
                future.result()  # raises the task's own error, or its cancellation
            elif node[1] - node[0] == 1:
                suspects.append(node)
            else:
                for part in split(*node):
                    tasks.send(part)
        for node in suspects:
            results[node] = _alone(submit, node, where(node))
    finally:
        tasks.cancel()
    return results


class _Tasks:
    """Tasks that were sent out, by the nodes of the tree that they are."""

    def __init__(self, client: Client, submit: Submit, nodes: list[Node]) -> None:
        self._client = client
        self._submit = submit
        self._pending = {submit(node, 0): node for node in nodes}
        #: Tasks that may prefer a worker.
        self._first = set(self._pending)
        self._completed = as_completed(
            list(self._pending), loop=client.loop, with_results=True, raise_errors=False
        )

    def send(self, node: Node) -> None:
        """Send out a task again, or a part of one."""
        future = self._submit(node, 1)
        self._pending[future] = node
        self._completed.add(future)

    def ended(self) -> Iterator[tuple[Node, Future[Any], Any]]:
        """Yield each task when it has ended, with its result."""
        while self._pending:
            if not self._wait():
                self._send_stranded()
                continue
            future, outcome = next(self._completed)
            if future in self._pending:  # else it was stranded, and cancelled for that
                yield self._pending.pop(future), future, outcome

    def cancel(self) -> None:
        """Cancel what has not ended."""
        if self._pending:
            self._client.cancel(list(self._pending), force=True)

    def _wait(self) -> bool:
        """Wait for a result, or for a while; tell whether there is one."""
        condition = self._completed.thread_condition
        with condition:  # in which whoever brings a result notifies
            return bool(condition.wait_for(self._completed.has_ready, _LOOK_EVERY))

    def _send_stranded(self) -> None:
        """Send out again the tasks for which the scheduler has no worker.

        A task that prefers a worker may run on any other. But where the scheduler finds no worker
        at all, it keeps the task until the preferred one comes back, and a worker that is started
        again comes back as another.
        """
        waiting = self._first & self._pending.keys()
        if not waiting:
            return
        scheduler: Any = self._client.scheduler
        states = self._client.sync(
            scheduler.get_task_status, keys=[future.key for future in waiting]
        )
        stranded = [future for future in waiting if states.get(future.key) == "no-worker"]
        for future in stranded:
            self.send(self._pending.pop(future))
        self._client.cancel(stranded, force=True)


def _alone(submit: Submit, node: Node, where: str) -> Any:
    """Run one block while nothing else runs that could have killed its worker."""
    for attempt in range(_BLOCK_ATTEMPTS):
        future = submit(node, 2 + attempt)
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
def _away_from_the_pool() -> Iterator[None]:
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
