"""Check what must not depend on the cluster: scheduler tasks of a pass, and bits of the result."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from lines import Table
from timing import flat
from workload import MEMORY, Workload, local_workers, worker_pids

import storage
from dlbd_estimators import LogisticRegression, Ridge

#: Numbers of workers of the clusters that fit the same data.
CLUSTERS = (1, 2, 4)
BLOCKS = (50, 5_000)
ROWS_PER_SMALL_BLOCK = 64


class _Received(SchedulerPlugin):
    """Collects the keys of all tasks that the scheduler received."""

    def __init__(self) -> None:
        self.keys: set[Any] = set()

    def transition(
        self, key: Any, start: str, finish: str, *args: object, **kwargs: object
    ) -> None:
        """Record the key of a task that leaves the state "released"."""
        if start == "released":
            self.keys.add(key)


class _Killer(SchedulerPlugin):
    """Kills a worker as soon as one task of a group is finished and others still run."""

    def __init__(self, scheduler: Scheduler, pids: dict[str, int], tasks: str) -> None:
        self._scheduler = scheduler
        self._pids = pids
        self._tasks = tasks
        self.killed: int | None = None

    def transition(
        self, key: Any, start: str, finish: str, *args: object, **kwargs: object
    ) -> None:
        """Kill a worker after the first task of the group has finished."""
        if self.killed is not None or finish != "memory" or self._tasks not in str(key):
            return
        for address, worker in self._scheduler.workers.items():
            if any(self._tasks in str(task.key) for task in worker.processing):
                self.killed = self._pids[address]
                os.kill(self.killed, signal.SIGKILL)
                return


@contextmanager
def _watched(client: Client, plugin: SchedulerPlugin) -> Iterator[None]:
    # The scheduler of a local cluster runs in this process, so the plugin can be added directly.
    scheduler = client.cluster.scheduler
    scheduler.add_plugin(plugin, name="benchmark")
    try:
        yield
    finally:
        scheduler.remove_plugin("benchmark")


def tasks_of_a_pass(workload: Workload, table: Table) -> None:
    """Count the tasks that the scheduler receives in a pass, for few and for many blocks."""
    n_features = 10
    n_rows = ROWS_PER_SMALL_BLOCK * max(BLOCKS)
    X = np.random.default_rng(4).standard_normal((n_rows, n_features), dtype=np.float32)
    y = (X[:, 0] > 0).astype(np.int8)
    y[::3] = 1 - y[::3]
    counts = {}
    for n_blocks in BLOCKS:
        rows = n_rows // n_blocks
        with TemporaryDirectory(dir=workload.folder) as folder, workload.two_workers() as client:
            data = storage.create_dataset(
                Path(folder) / "blocks.zarr",
                X,
                y,
                chunk_nbytes=rows * X.itemsize * n_features,
                block_nbytes=rows * (X.itemsize * n_features + y.itemsize),
            )
            assert data.X.numblocks[0] == n_blocks
            ridge, logistic = _Received(), _Received()
            with _watched(client, ridge):
                Ridge().fit(data.X, data.y)
            with _watched(client, logistic):
                LogisticRegression().fit(data.X, data.y)
        first = [key for key in logistic.keys if "newton-pass-1-" in str(key)]
        counts[n_blocks] = len(ridge.keys), len(first)
    few, many = (counts[n_blocks] for n_blocks in BLOCKS)
    table.claim(
        "tasks",
        few == many and min(few) > 0,
        f"{few[0]} and {many[0]} (the whole of a Ridge fit); {few[1]} and {many[1]} "
        f"(a Newton pass)",
    )


def on_any_cluster(fit: Callable[[], bytes], folder: Path) -> dict[str, bytes]:
    """Return the bits of a fit on threads, and on clusters of several sizes.

    Parameters
    ----------
    fit : callable
        Fits Dask arrays on the active cluster or on threads, and returns the bits of the result.
    folder : Path
        Folder to which workers spill data.
    """
    bits = {"threads": fit()}
    for n_workers in CLUSTERS:
        with local_workers(n_workers, MEMORY, folder):
            bits[f"{n_workers} workers"] = fit()
    return bits


def on_a_dying_cluster(fit: Callable[[], bytes], folder: Path, tasks: str) -> bytes | None:
    """Return the bits of a fit during which one of three workers is killed.

    Parameters
    ----------
    fit : callable
        Fits Dask arrays on the active cluster or on threads, and returns the bits of the result.
    folder : Path
        Folder to which workers spill data.
    tasks : str
        Part of the keys of a group of tasks. The worker is killed while some of them are finished
        and others still run.

    Returns
    -------
    bytes or None
        None if the fit ended before a worker could be killed.
    """
    logging.getLogger("distributed.nanny").setLevel(logging.ERROR)  # no warning about the kill
    with local_workers(3, MEMORY, folder) as client:
        pids = worker_pids(client)
        killer = _Killer(client.cluster.scheduler, pids, tasks)
        with _watched(client, killer):
            bits = fit()
        client.wait_for_workers(3, timeout=60)
        lost = set(pids.values()) - set(worker_pids(client).values())
    return bits if killer.killed is not None and lost == {killer.killed} else None


def record_bits(
    table: Table, names: tuple[str, str], bits: dict[str, bytes], survived: bytes | None, what: str
) -> None:
    """Record a line on clusters of several sizes, and a line on a cluster that lost a worker."""
    same = len(set(bits.values())) == 1
    unlike = [name for name, found in bits.items() if found != bits["threads"]]
    table.claim(names[0], same, f"same bits, {what}" if same else f"{', '.join(unlike)} differ")
    if survived is None:
        table.skip(names[1], "the fit was over before a worker could be killed")
        return
    same = survived == bits["threads"]
    table.claim(names[1], same, "same bits, no error" if same else "other bits, no error")


def any_cluster(workload: Workload, table: Table) -> None:
    """Fit on clusters of several sizes and on threads, and while a worker is killed."""
    data = workload.dataset(workload.shared_rows)

    def bits() -> bytes:
        models = [LogisticRegression(), Ridge()]
        return b"".join(flat(model.fit(data.X, data.y)).tobytes() for model in models)

    record_bits(
        table,
        ("same-bits", "killed-worker"),
        on_any_cluster(bits, workload.folder),
        on_a_dying_cluster(bits, workload.folder, "newton-pass"),
        "LogisticRegression and Ridge",
    )
