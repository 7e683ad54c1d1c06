"""Run commands on an existing cluster, or on worker processes that they start."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import dask.config
from dask.utils import parse_bytes
from distributed import Client, LocalCluster, Security
from distributed.comm import connect, normalize_address

from dlbd_estimators.engine.encryption import check_encryption
from dlbd_estimators.engine.select import check_cluster
from dlbd_estimators.monitoring.plugin import TOPIC

#: Seconds within which a scheduler has to answer.
CONNECT_SECONDS = 10.0
#: Fewer bytes than the packages take that a worker imports: it would be restarted without end.
_LEAST_MEMORY = 100_000_000
#: Seconds between two checks of the connection to the scheduler.
_LOOK_EVERY = 0.5
#: By default Dask's workers return free memory to the system at once, and clearing the pages of new
#: memory takes a fifth of the time of a fit, and half of that of an ingest. Workers of a command
#: keep up to 32 MiB. The C library accepts no larger limit for arrays in memory that is kept.
_KEEP_FREE_MEMORY = {
    f"distributed.nanny.pre-spawn-environ.{name}": 2**25
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Compute on the cluster whose scheduler has this address.

    Raises
    ------
    TimeoutError
        The scheduler does not answer.
    NoWorkers, MissingPackage
        The cluster has no workers, and none joined in time; or its workers lack this package.
    UnencryptedCluster
        The Dask configuration requires encryption, and the address has none.
    ValueError
        The text is not an address, or TLS certificates are not configured.
    """
    with _client(address, active=True):
        # Dask itself, which writes the predictions, would wait for workers forever.
        check_cluster()
        yield


def fit_events(address: str) -> Iterator[Any]:
    """Yield the events of the fits on a cluster, from now on, until its scheduler is gone.

    Raises
    ------
    TimeoutError
        The scheduler does not answer.
    ConnectionError
        The scheduler has ended.
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
    check_encryption(normalize_address(address))
    certificates = _certificates(address)
    try:
        # Test the address first: a client that cannot connect would remain Dask's default client.
        asyncio.run(asyncio.wait_for(_ask(address, certificates), CONNECT_SECONDS))
    except OSError as error:
        raise TimeoutError(
            f"No scheduler answers at {address} within {CONNECT_SECONDS:g} s. Is it running, and "
            f"can this machine reach it? ({str(error) or 'no reason was given'})"
        ) from error
    with Client(address, timeout=CONNECT_SECONDS, set_as_default=active) as client:
        yield client


def _certificates(address: str) -> dict[str, Any]:
    """Return the options of a connection that contain the certificates, which Dask configures."""
    try:
        options: dict[str, Any] = Security().get_connection_args("client")
    except OSError as error:
        raise ValueError(
            f"The certificates that the Dask configuration names under distributed.comm.tls cannot "
            f"be read: {error}"
        ) from error
    if normalize_address(address).startswith("tls://") and options["ssl_context"] is None:
        raise ValueError(
            f"A connection to {address} needs certificates. Name their files in the Dask "
            f"configuration: distributed.comm.tls.ca-file, distributed.comm.tls.client.cert and "
            f"distributed.comm.tls.client.key, for --workers also those of scheduler and worker "
            f"(or set environment variables such as DASK_DISTRIBUTED__COMM__TLS__CA_FILE)."
        )
    return options


async def _ask(address: str, options: dict[str, Any]) -> None:
    comm = await connect(address, timeout=CONNECT_SECONDS, **options)
    await comm.close()


@contextmanager
def started(n_workers: int, memory: str) -> Iterator[None]:
    """Compute on worker processes of one thread each, which end with the command.

    Raises
    ------
    ValueError
        ``memory`` is not a size, or too small; or Dask requires encryption, but certificates are
        not configured.
    """
    if Security().require_encryption:
        _certificates("tls://127.0.0.1")
    limit = memory if memory == "auto" else parse_bytes(memory)
    if isinstance(limit, int) and 0 < limit < _LEAST_MEMORY:
        raise ValueError(
            f"--memory {memory} is {limit:,} bytes, and a worker needs 200 MB for the imported "
            f"packages alone: write a unit, such as --memory 2GB"
        )
    with (
        tempfile.TemporaryDirectory(prefix="dlbd-workers-") as scratch,
        dask.config.set(_KEEP_FREE_MEMORY),
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
