"""Where a fit runs: the active Dask cluster for Dask collections, else threads here."""

from __future__ import annotations

import sys

from dask.base import get_scheduler

from dlbd_estimators.blocks import Blocks
from dlbd_estimators.blocks_dask import Remote
from dlbd_estimators.execution.base import Executor
from dlbd_estimators.execution.threads import ThreadExecutor


def executor_for(blocks: Blocks) -> Executor:
    """Return an executor for some blocks, as Dask itself would choose.

    Arrays in memory never leave the process. Dask collections run on the active client,
    unless the Dask configuration names another scheduler.
    """
    if blocks.in_memory:
        return ThreadExecutor()
    scheduler = get_scheduler()
    if "distributed" in sys.modules:  # no client can be active where it is not imported
        from dlbd_estimators.execution.cluster import ClusterExecutor, client_of

        client = client_of(scheduler)
        if client is not None:
            return ClusterExecutor(client)
    synchronous = getattr(scheduler, "__name__", "") == "get_sync"
    return ThreadExecutor(1 if synchronous else None)


def active_cluster() -> Remote | None:
    """Return the cluster that Dask would compute on, or None where that is this process."""
    if "distributed" not in sys.modules:
        return None
    from dlbd_estimators.execution.cluster import client_of
    from dlbd_estimators.execution.cluster_graphs import ClusterGraphs

    client = client_of(get_scheduler())
    return None if client is None else ClusterGraphs(client)
