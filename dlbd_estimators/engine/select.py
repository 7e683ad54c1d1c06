"""Choose where a fit runs: on the active cluster for Dask collections, or in threads here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dask.base import get_scheduler

from dlbd_estimators.blocks.dask_blocks import Remote
from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.threads import ThreadExecutor

if TYPE_CHECKING:
    from distributed import Client


def executor_for(*data: BlockSequence) -> Executor:
    """Return an executor that runs where Dask itself would compute the blocks.

    Arrays in memory never leave the process. Dask collections run on the active client,
    unless the Dask configuration names another scheduler.

    Parameters
    ----------
    *data : BlockSequence
        All blocks that the executor will read.

    Raises
    ------
    UnencryptedCluster
        The Dask configuration requires encryption, and the cluster has none.
    NoWorkers
        The client's cluster has no worker that may take a task, and none came in time.
    MissingPackage
        Workers or the scheduler lack this package or one of its dependencies.
    """
    if all(blocks.in_memory for blocks in data):
        return ThreadExecutor()
    client = _active_client()
    if client is not None and any(blocks.in_memory for blocks in data):
        from dlbd_estimators.engine.mixed import MixedExecutor

        return MixedExecutor(client)
    if client is not None:
        from dlbd_estimators.engine.cluster import ClusterExecutor

        return ClusterExecutor(client)
    synchronous = getattr(get_scheduler(), "__name__", "") == "get_sync"
    return ThreadExecutor(1 if synchronous else None)


def active_cluster() -> Remote | None:
    """Return the cluster that Dask would compute on, or None if Dask would use this process.

    Raises
    ------
    UnencryptedCluster
        The Dask configuration requires encryption, and the cluster has none.
    NoWorkers
        The client's cluster has no worker that may take a task, and none came in time.
    MissingPackage
        Workers or the scheduler lack this package or one of its dependencies.
    """
    client = _active_client()
    if client is None:
        return None
    from dlbd_estimators.engine.cluster_graphs import ClusterGraphs

    check_cluster()
    return ClusterGraphs(client)


def check_cluster() -> None:
    """Check that the active cluster, if there is one, can run tasks.

    Call it before Dask itself computes something: without workers, Dask would wait for ever.
    Passes check the cluster themselves.

    Raises
    ------
    UnencryptedCluster
        The Dask configuration requires encryption, and the cluster has none.
    NoWorkers
        The client's cluster has no worker that may take a task, and none came in time.
    MissingPackage
        Workers or the scheduler lack this package or one of its dependencies.
    """
    client = _active_client()
    if client is not None:
        from dlbd_estimators.engine.readiness import find_ready_workers

        find_ready_workers(client)


def _active_client() -> Client | None:
    if "distributed" not in sys.modules:  # if distributed was not imported, no client can be active
        return None
    from dlbd_estimators.engine.cluster import client_of

    return client_of(get_scheduler())
