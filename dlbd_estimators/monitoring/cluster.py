"""Events on their way to a scheduler, where a page draws them.

They are sent by the client's own event loop while the fit goes on: a fit waits for none but
the last, and for that no longer than a second. A scheduler that is gone, or cannot take the
plugin, costs the page and never the fit.
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

#: Seconds that a fit waits at its end until the scheduler knows of it.
_PATIENCE = 1.0
#: Clients whose schedulers did not take the plugin: they are not asked at every fit.
_refused: weakref.WeakSet[Client] = weakref.WeakSet()

logger = logging.getLogger(__name__)


def cluster_listener(executor: Executor) -> Listener | None:
    """Return what sends events to the scheduler that a fit runs on, and install its page there.

    Returns
    -------
    callable or None
        None for a fit that runs in this process, and where the Dask configuration
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
        # Whatever is wrong there (a scheduler without this package, an old one, one that is
        # going down), the fit itself will tell of what concerns it.
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
            # The program may be over a moment later.
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
            # The loop would print it. What is lost is a point of a curve.
            logger.debug("An event did not reach the scheduler", exc_info=True)
