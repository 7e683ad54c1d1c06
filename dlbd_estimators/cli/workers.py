"""Where commands compute: on a cluster that is there, or on worker processes of their own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from dask.utils import parse_bytes
from distributed import Client, LocalCluster
from distributed.comm import connect

from dlbd_estimators.engine.select import check_cluster
from dlbd_estimators.monitoring.plugin import TOPIC

#: Seconds that a scheduler has to answer.
CONNECT_SECONDS = 10.0
#: Seconds between two looks at whether the scheduler is still there.
_LOOK_EVERY = 0.5


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Compute on the cluster of this scheduler.

    Raises
    ------
    TimeoutError
        It does not answer.
    NoWorkers, MissingPackage
        It has no workers, and none came in time; or they lack this package.
    ValueError
        It is no address.
    """
    with _client(address, active=True):
        # Dask itself would wait for workers for ever, with predictions to write.
        check_cluster()
        yield


def fit_events(address: str) -> Iterator[Any]:
    """Yield the events of the fits on a cluster, from now on, until its scheduler is gone.

    Raises
    ------
    TimeoutError
        It does not answer.
    ConnectionError
        It is gone.
    """
    events: SimpleQueue[Any] = SimpleQueue()
    with _client(address, active=False) as client:
        client.subscribe_topic(TOPIC, lambda logged: events.put(logged[1]))
        while client.status == "running":
            with suppress(Empty):
                message = events.get(timeout=_LOOK_EVERY)
                if isinstance(message, dict) and "fit_event" in message:
                    yield message["fit_event"]
    raise ConnectionError(f"The scheduler at {address} is gone.")


@contextmanager
def _client(address: str, *, active: bool) -> Iterator[Client]:
    """Connect to a scheduler, if it answers in time."""
    try:
        # A client that cannot connect would stay behind as the one that Dask computes on.
        asyncio.run(asyncio.wait_for(_ask(address), CONNECT_SECONDS))
    except OSError as error:
        raise TimeoutError(
            f"No scheduler answers at {address} within {CONNECT_SECONDS:g} s. Is it running, and "
            f"can this machine reach it? ({str(error) or 'it says nothing'})"
        ) from error
    with Client(address, timeout=CONNECT_SECONDS, set_as_default=active) as client:
        yield client


async def _ask(address: str) -> None:
    comm = await connect(address, timeout=CONNECT_SECONDS)
    await comm.close()


@contextmanager
def started(n_workers: int, memory: str) -> Iterator[None]:
    """Compute on worker processes of one thread each, which end with the command.

    Raises
    ------
    ValueError
        The memory is no size.
    """
    limit = memory if memory == "auto" else parse_bytes(memory)
    with (
        tempfile.TemporaryDirectory(prefix="dlbd-workers-") as scratch,
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=limit,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
            local_directory=scratch,
        ) as cluster,
        Client(cluster),
    ):
        yield
