"""Watch tasks that have not ended, so that no fit waits for ever.

Dask holds a task for as long as it finds no worker for it. It waits five minutes or more for a
worker that does not respond. And code that waits gets no error when a client loses the scheduler.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlbd_estimators.engine.message_streams import send_late_messages
from dlbd_estimators.engine.placement import Workers, limits, place
from dlbd_estimators.engine.waits import Wait
from dlbd_estimators.exceptions import ClusterError

if TYPE_CHECKING:
    from distributed import Client

#: Seconds without a result after which the tasks are looked at.
LOOK_EVERY = 2.0
#: Seconds of a pass between two times at which messages that wait too long are sent. They are sent
#: only when the tasks are looked at, so never while results arrive in quick succession.
_SEND_EVERY = 10.0
#: Seconds to wait for an answer of the scheduler.
_PATIENCE = 20.0
#: Seconds in which a nanny must stop a worker that does not respond, and start another.
_RESTART = 60.0

logger = logging.getLogger(__name__)


class Watch:
    """Watches the tasks of one pass.

    Parameters
    ----------
    client : distributed.Client
        The client that sent the tasks.
    annotations : mapping
        The annotations of the tasks.
    work : str
        What the tasks do, for the errors.
    """

    def __init__(self, client: Client, annotations: Mapping[str, Any], work: str) -> None:
        self._client = client
        self._annotations = annotations
        self._work = work
        self._waits_since: float | None = None
        self._sent_at = time.monotonic()
        #: For each worker, the last heartbeat that the scheduler knew of, and when this process
        #: first saw it: clocks of different machines are not compared.
        self._last_heartbeats: dict[str, tuple[float, float]] = {}

    def look(self, keys: Sequence[Any], progress: str = "", lost: Wait = Wait.LOST_WORKERS) -> bool:
        """Return whether the scheduler has workers, but cannot place some tasks.

        A task that prefers a worker may run on any other. But if the scheduler once found no worker
        at all for it, it holds the task until the preferred worker comes back. A worker that is
        started again comes back under another address, so that the task has to be sent again.

        Parameters
        ----------
        keys : sequence
            Keys of the running tasks, and of tasks whose results they may need again.
        progress : str, optional
            How far the work has come, for the error.
        lost : Wait, optional
            How long to wait once no worker is left.

        Raises
        ------
        ClusterError
            No worker has taken a task, or the scheduler has not answered, for too long; or the
            client has lost the scheduler.
        """
        self.check_connection(progress)
        self._send_late_messages()
        found = self._ask(keys)
        if found is None:
            self._check_wait("The scheduler does not answer", progress)
            return False
        states, workers = found
        running = {
            address: worker for address, worker in workers.items() if worker["status"] == "running"
        }
        able = place(running, self._annotations).workers
        self._restart_silent(workers, set(keys))
        stranded = "no-worker" in states.values()
        if not able:
            problem = f"No worker is left ({_worker_states(workers)})"
            if any(worker["status"] == "paused" for worker in workers.values()):
                problem += (
                    ". A worker is paused while it uses more of its memory than Dask's setting "
                    "distributed.worker.memory.pause allows: give workers more memory, or restart "
                    "them with client.restart()"
                )
            self._check_wait(problem, progress, lost)
        elif stranded and "processing" not in states.values():
            self._check_wait(
                f"No worker takes a task ({_worker_states(workers)})", progress, Wait.WORKERS
            )
        else:
            self._waits_since = None
        return stranded and bool(able)

    def check_connection(self, progress: str = "") -> None:
        """Raise if the client has lost the scheduler, and with it all tasks and results."""
        check_connection(self._client, self._work_and_progress(progress))

    def _work_and_progress(self, progress: str) -> str:
        return f"{self._work} ({progress})" if progress else self._work

    def _ask(self, keys: Sequence[Any]) -> tuple[dict[Any, Any], Workers] | None:
        """Return the states of tasks and the scheduler's workers; None if there was no answer."""
        scheduler: Any = self._client.scheduler

        async def ask() -> tuple[dict[Any, Any], Any]:
            answers = asyncio.gather(
                scheduler.get_task_status(keys=list(keys)), scheduler.identity(n_workers=-1)
            )
            states, identity = await asyncio.wait_for(answers, _PATIENCE)
            return states, identity["workers"]

        try:
            found: tuple[dict[Any, Any], Workers] = self._client.sync(ask)
        except (OSError, RuntimeError):
            logger.debug("The scheduler does not answer", exc_info=True)
            return None
        return found

    def _send_late_messages(self) -> None:
        """Send messages that wait too long, not at each look. This does not wait for answers."""
        now = time.monotonic()
        if now - self._sent_at >= _SEND_EVERY:
            self._sent_at = now
            loop: Any = self._client.loop
            loop.add_callback(send_late_messages, self._client)

    def _check_wait(self, problem: str, progress: str, wait: Wait = Wait.LOST_WORKERS) -> None:
        """Return if the caller may wait longer; raise if it has waited too long."""
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        waited = now - self._waits_since
        if waited >= wait.seconds():
            raise ClusterError(
                f"{problem}{limits(self._annotations)}. This has lasted for {waited:.0f} s, during "
                f"{self._work_and_progress(progress)}, on the cluster at {address(self._client)}. "
                f"{wait.advice()}"
            )

    def _restart_silent(self, workers: Workers, keys: set[Any]) -> None:
        """Restart workers that do not respond and have tasks or results of this pass."""
        now, patience = time.monotonic(), Wait.SILENT_WORKER.seconds()
        silent = []
        for worker_addr, worker in workers.items():
            heartbeat, seen_at = self._last_heartbeats.get(worker_addr, (None, now))
            if heartbeat != worker["last_seen"]:
                self._last_heartbeats[worker_addr] = (worker["last_seen"], now)
            elif now - seen_at >= patience:
                silent.append(worker_addr)
        if not silent:
            return
        held = (self._client.processing(silent), self._client.has_what(silent))
        for worker_addr in silent:
            if any(not keys.isdisjoint(by_worker.get(worker_addr, ())) for by_worker in held):
                logger.warning("Worker %s is restarted: silent for %.0f s", worker_addr, patience)
                self._restart(worker_addr)

    def _restart(self, worker: str) -> None:
        """Restart a worker, as the scheduler itself does after its ``worker-ttl``."""
        scheduler: Any = self._client.scheduler
        try:
            self._client.sync(
                scheduler.restart_workers,
                workers=[worker],
                timeout=_RESTART,
                wait_for_workers=False,
                on_error="return",
                stimulus_id=f"dlbd-estimators-silent-worker-{time.time()}",
            )
        except (OSError, RuntimeError):
            logger.debug("The worker could not be restarted", exc_info=True)


def address(client: Client) -> str:
    """Return the address of a client's scheduler."""
    return str(getattr(client.scheduler, "address", "an unknown address"))


def check_connection(client: Client, work: str) -> None:
    """Raise if a client has lost its scheduler, during some work."""
    if client.status != "running":
        raise ClusterError(
            f"The connection to the scheduler at {address(client)} was lost during {work}. The "
            f"scheduler has ended, or the client was closed, and what was computed there is gone: "
            f"connect to a running cluster and fit again."
        )


def _worker_states(workers: Workers) -> str:
    """Return words for an error: the number of workers in each state."""
    if not workers:
        return "there is none"
    statuses = Counter(str(worker["status"]) for worker in workers.values())
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
