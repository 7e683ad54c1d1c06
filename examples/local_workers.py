"""A cluster of worker processes on this machine, and measurements of its workers' memory.

The examples and the benchmark use this module. The peak memory is the operating system's own
maximum of a process's resident memory, so no peak between two samples is missed.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster
from process_memory import own_peak, reset_own_peak

#: By default Dask's workers return free memory to the system at once, and clearing the pages of new
#: memory takes a fifth of the time of a fit, and half of that of an ingest. These workers keep up
#: to 32 MiB. The C library accepts no larger limit for arrays in memory that is kept.
KEEP_FREE_MEMORY = {
    f"distributed.nanny.pre-spawn-environ.{name}": 2**25
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
}


@contextmanager
def local_workers(
    n_workers: int, memory_limit: str, folder: Path | None = None
) -> Iterator[Client]:
    """Start worker processes of one thread each; remove them and their files at the end.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    memory_limit : str
        Memory of each, for example ``"1GiB"``. Dask restarts a worker that needs more.
    folder : Path, optional
        Parent of a temporary folder for spilled data; by default the system's temporary folder.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workers-", dir=folder) as scratch,
        # Set here, because the default template takes the host from environment variables.
        dask.config.set({"distributed.dashboard.link": "http://{host}:{port}/status"}),
        dask.config.set(KEEP_FREE_MEMORY),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory_limit,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
            local_directory=scratch,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def fresh_workers(client: Client) -> None:
    """Replace the worker processes, to free all memory that they did not give back."""
    nanny = logging.getLogger("distributed.nanny")
    level = nanny.level
    nanny.setLevel(logging.ERROR)  # otherwise it warns about each restart, also a requested one
    try:
        client.restart()
    finally:
        nanny.setLevel(level)


def reset_peak(client: Client) -> None:
    """Start a new measurement of :func:`peak_memory` in every worker."""
    _run(client, reset_own_peak)


def peak_memory(client: Client) -> dict[str, int]:
    """Return the largest resident memory of each worker since :func:`reset_peak`, in bytes.

    It includes the whole process: interpreter and libraries (about 150 MB), data, and memory that
    the allocator keeps. Only Linux can reset the maximum. On other systems it is the largest since
    the worker started.
    """
    return _run(client, own_peak)


def worker_pids(client: Client) -> dict[str, int]:
    """Return the process id of each worker; a restarted worker has a new one."""
    return dict(client.run(os.getpid))


def memory_troubles(client: Client, pids_before: dict[str, int]) -> list[str]:
    """Return messages about workers that were restarted, paused, or spilled data to disk.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    pids_before : dict
        The result of :func:`worker_pids` at the start.
    """
    troubles = [
        f"the worker of process {pid} was restarted or lost"
        for pid in sorted(set(pids_before.values()) - set(worker_pids(client).values()))
    ]
    for address, lines in client.get_worker_logs().items():
        pauses = sum("Pausing worker" in text for _, text in lines)
        if pauses:
            troubles.append(f"{address} was paused for memory {pauses} times")
    troubles += [
        f"{address} spilled {nbytes:,} bytes to disk"
        for address, nbytes in client.run(_spilled).items()
        if nbytes
    ]
    return troubles


def _run(client: Client, function: Callable[[], Any]) -> dict[str, Any]:
    """Call a function in each worker; leave out those that end meanwhile."""
    return dict(client.run(function, on_error="ignore"))


def _spilled(dask_worker: object) -> int:
    # The total since the worker started, not the data that is on disk now.
    metrics = getattr(getattr(dask_worker, "data", None), "cumulative_metrics", {})
    return int(sum(size for (what, unit), size in metrics.items() if _is_spill(what, unit)))


def _is_spill(what: str, unit: str) -> bool:
    return what == "disk-write" and unit == "bytes"
