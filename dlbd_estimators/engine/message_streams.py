"""Messages between client, scheduler and workers, after the time of day was set back.

Dask collects messages for some milliseconds before it sends them, and sends heartbeats at
intervals. It measures both by the time of day. Where that is set back by an hour, messages may wait
for an hour (``distributed.batched.BatchedSend``), and so do heartbeats
(``tornado.ioloop.PeriodicCallback``).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

#: Seconds to wait for the answers of scheduler and workers.
_PATIENCE = 20.0

logger = logging.getLogger(__name__)


async def send_late_messages(client: Client) -> None:
    """Send what waits too long, in the processes of the client, the scheduler and all workers.

    It is called in the client's event loop. Processes that do not answer are left as they are.
    """

    # These functions are pickled by value, because the scheduler may run without this package.
    def send(streams: list[Any]) -> None:
        from distributed.metrics import time

        for stream in streams:
            # Dask waits for milliseconds; a second more is the sign of another time of day.
            if stream.next_deadline is not None and stream.next_deadline > time() + 1:
                stream.next_deadline = None
                stream.waker.set()

    def on_scheduler(dask_scheduler: Any) -> None:
        send([*dask_scheduler.client_comms.values(), *dask_scheduler.stream_comms.values()])

    def on_worker(dask_worker: Any) -> None:
        send([dask_worker.batched_stream])
        dask_worker.loop.add_callback(dask_worker.heartbeat)

    own: Any = client.scheduler_comm
    if own is not None:
        send([own])
    answers: Any = asyncio.gather(
        client.run_on_scheduler(on_scheduler), client.run(on_worker, on_error="return")
    )
    try:
        await asyncio.wait_for(answers, _PATIENCE)
    except Exception:
        logger.debug("Scheduler or workers do not answer", exc_info=True)
