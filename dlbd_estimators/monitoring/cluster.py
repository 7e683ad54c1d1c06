"""Send the events of fits to a Dask scheduler, where the training page shows them.

The client's event loop sends them while the fit goes on. A fit waits only for its last event, and
for at most a second. If the scheduler is gone, or cannot install the plugin, there is no page, but
the fit does not fail.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from typing import Any

import dask.config
from distributed import Client

from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.monitoring.events import Event, Listener
from dlbd_estimators.monitoring.plugin import TOPIC, TrainingPlugin

#: Maximum seconds that a fit waits at its end until the scheduler has its last event.
_PATIENCE = 1.0
#: Clients whose schedulers could not install the plugin: it is not tried again at every fit.
_refused: weakref.WeakSet[Client] = weakref.WeakSet()

logger = logging.getLogger(__name__)


def cluster_listener(executor: Executor) -> Listener | None:
    """Return a listener that sends events to the scheduler of a fit; install the page there.

    Returns
    -------
    callable or None
        None if the fit runs in this process, or if the Dask configuration
        ``dlbd-estimators.dashboard`` is false.
    """
    if not isinstance(executor, ClusterExecutor):
        return None
    if not dask.config.get("dlbd-estimators.dashboard", True):
        return None
    _install(executor.client)
    return _Sender(executor.client)


def _install(client: Client) -> None:
    if client in _refused:
        return
    try:
        client.register_plugin(TrainingPlugin())
    except Exception:
        # The scheduler may not have this package, may be old, or may be shutting down. If that is
        # a problem for the fit too, the fit itself raises an error.
        _refused.add(client)
        logger.info("The training page could not be installed on the scheduler", exc_info=True)


class _Sender:
    """Sends events to a scheduler in order, in the background."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: deque[Event] = deque()
        self._sending: asyncio.Lock | None = None

    def __call__(self, event: Event) -> None:
        self._waiting.append(event)
        if event["event"] == "fit_ended":
            # Wait for this event: the program may end right after the fit.
            self._client.sync(self._send, callback_timeout=_PATIENCE)
        else:
            loop: Any = self._client.loop
            loop.add_callback(self._send_quietly)

    def __repr__(self) -> str:
        return f"<events to {self._client}>"

    async def _send(self) -> None:
        if self._sending is None:
            self._sending = asyncio.Lock()
        scheduler: Any = self._client.scheduler
        async with self._sending:
            while self._waiting:
                message: Any = {"fit_event": self._waiting.popleft(), "client": self._client.id}
                await scheduler.log_event(topic=TOPIC, msg=message)

    async def _send_quietly(self) -> None:
        try:
            await self._send()
        except Exception:
            # The event loop would print the error, but only one point of a curve is lost.
            logger.debug("An event did not reach the scheduler", exc_info=True)
