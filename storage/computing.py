"""Compute Dask collections, but never on a cluster that lacks a required encryption.

What is computed inside a :func:`~storage.progress.stage` is reported to its listeners.

Dask itself checks ``distributed.comm.require-encryption`` only when a client is created, and not
if the client has a ``Security`` of its own.
"""

from __future__ import annotations

from typing import Any

import dask.base
import dask.config
from dask.core import flatten
from dask.system import CPU_COUNT

from storage.errors import UnencryptedCluster
from storage.progress import Stage, current_stage

__all__ = ["compute", "n_threads", "persist", "worker_memory"]

_REQUIRED = "distributed.comm.require-encryption"
#: Protocols whose connections are encrypted, and the one that never leaves the process.
_SAFE = frozenset({"tls", "wss", "inproc"})


def compute(*collections: Any) -> tuple[Any, ...]:
    """Compute collections as ``dask.compute`` does, on the active cluster or on threads.

    Raises
    ------
    UnencryptedCluster
        When the Dask configuration requires encryption, and connections to the scheduler or to a
        worker are not encrypted. Nothing is sent then.
    """
    if collections:
        _check_encryption()
    stage = current_stage()
    results: tuple[Any, ...]
    if stage is None:
        results = dask.base.compute(*collections)
    elif _active_client() is not None:
        results = _computed_on_cluster(collections, stage)
    else:
        with stage.counting(_keys(collections)):
            results = dask.base.compute(*collections)
    return results


def _computed_on_cluster(collections: tuple[Any, ...], stage: Stage) -> tuple[Any, ...]:
    # With dask.compute, this process would learn nothing before all results have arrived.
    running = dask.base.persist(*collections)
    futures = [future for each in running for future in dict(each.__dask_graph__()).values()]
    try:
        stage.wait(futures)
        results: tuple[Any, ...] = dask.base.compute(*running)
        return results
    finally:
        # After an error, its traceback keeps the futures alive, and so the tasks that still run.
        for future in futures:
            future.release()


def _keys(collections: tuple[Any, ...]) -> set[Any]:
    """Return the keys of the tasks whose results are the parts of these collections."""
    return {key for each in collections for key in flatten(each.__dask_keys__())}


def persist(*collections: Any) -> tuple[Any, ...]:
    """Compute collections as ``dask.persist`` does, and leave the results where they are computed.

    Raises
    ------
    UnencryptedCluster
        As :func:`compute` does.
    """
    if collections:
        _check_encryption()
    stage = current_stage()
    results: tuple[Any, ...]
    if stage is None or _active_client() is not None:
        results = dask.base.persist(*collections)  # on a cluster it does not wait for results
    else:
        with stage.counting(_keys(collections)):
            results = dask.base.persist(*collections)
    return results


def worker_memory() -> int | None:
    """Return the bytes of memory of all workers that have a limit; None without a cluster."""
    workers = _active_workers()
    if workers is None:
        return None
    return sum(int(worker.get("memory_limit") or 0) for worker in workers)


def n_threads() -> int:
    """Return the number of threads of all workers; without a cluster, the number of cores."""
    workers = _active_workers()
    if workers is None:
        return CPU_COUNT
    return max(1, sum(int(worker["nthreads"]) for worker in workers))


def _active_workers() -> list[dict[str, Any]] | None:
    """Return what the scheduler knows of each worker; None without a cluster."""
    client = _active_client()
    if client is None:
        return None
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _active_client() -> Any:
    """Return the client of the cluster that Dask would compute on, or None."""
    # The client is found by the method that Dask would call, so that distributed is not imported
    # where there is no cluster.
    client = getattr(dask.base.get_scheduler(), "__self__", None)
    return None if getattr(client, "scheduler", None) is None else client


def _check_encryption() -> None:
    client = _active_client()
    if client is None or not dask.config.get(_REQUIRED, None):
        return
    scheduler = client.scheduler
    workers = client.scheduler_info(n_workers=-1)["workers"]
    for role, address in (
        ("scheduler", scheduler.address),
        *(("worker", each) for each in workers),
    ):
        if address.partition("://")[0] not in _SAFE:
            raise UnencryptedCluster(
                f"the Dask configuration {_REQUIRED} is true, but connections to the {role} at "
                f"{address} are not encrypted. No data was sent. Start the scheduler and the "
                f"workers with TLS certificates and --protocol tls, and connect to the tls:// "
                f"address: see https://distributed.dask.org/en/stable/tls.html. If the network is "
                f"trusted, set {_REQUIRED} to false"
            )
