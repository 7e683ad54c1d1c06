"""A cluster of worker processes on this machine, and what its workers' memory went through.

Shared by the examples and the benchmark. Peak memory is the operating system's own high-water
mark of a process's resident memory, so nothing is missed between two samples.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
from distributed import Client, LocalCluster


@contextmanager
def local_workers(
    n_workers: int, memory_limit: str, folder: Path | None = None
) -> Iterator[Client]:
    """Start worker processes of one thread each; when left, they and their files are gone.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    memory_limit : str
        Memory of each, for example ``"1GiB"``. A worker that needs more is restarted by Dask.
    folder : Path, optional
        Where a temporary folder for spilled data is made; by default where the system makes them.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workers-", dir=folder) as scratch,
        # Written out, because the default template leaves the host to environment variables.
        dask.config.set({"distributed.dashboard.link": "http://{host}:{port}/status"}),
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
    """Replace the worker processes, and with them all memory they did not give back."""
    nanny = logging.getLogger("distributed.nanny")
    level = nanny.level
    nanny.setLevel(logging.ERROR)  # it warns of restarts, also of those asked for
    try:
        client.restart()
    finally:
        nanny.setLevel(level)


def reset_peak(client: Client) -> None:
    """Begin a new measurement of :func:`peak_memory` in every worker."""
    client.run(_reset_own_peak)


def peak_memory(client: Client) -> dict[str, int]:
    """Largest resident memory of each worker since :func:`reset_peak`, in bytes.

    All of the process counts: interpreter and libraries (about 150 MB), data, and what the
    allocator keeps. Where the system cannot reset the mark (only Linux can), it is the largest
    since the worker started.
    """
    return dict(client.run(_own_peak))


def worker_pids(client: Client) -> dict[str, int]:
    """Process id of each worker; a worker that was restarted has another."""
    return dict(client.run(os.getpid))


def memory_troubles(client: Client, pids_before: dict[str, int]) -> list[str]:
    """Say which workers were restarted, paused, or made to spill since they were listed.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    pids_before : dict
        What :func:`worker_pids` returned at the beginning.
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


def _reset_own_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _own_peak() -> int:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _spilled(dask_worker: object) -> int:
    # A total since the worker started, not what lies on disk now.
    metrics = getattr(getattr(dask_worker, "data", None), "cumulative_metrics", {})
    return int(sum(size for (what, unit), size in metrics.items() if _is_spill(what, unit)))


def _is_spill(what: str, unit: str) -> bool:
    return what == "disk-write" and unit == "bytes"
