"""Waits for a cluster that cannot work end with an error that says why."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.core import Status

from dlbd_estimators import Ridge
from dlbd_estimators.exceptions import ClusterError


def pause(dask_worker):
    dask_worker.status = Status.paused


def test_a_fit_on_paused_workers_ends_and_names_their_memory():
    rows = da.from_array(np.random.default_rng(0).normal(size=(40, 3)), chunks=(10, 3))
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,  # Dask would end the pause
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
        dask.config.set({"dlbd-estimators.wait-for-lost-workers": "1 s"}),
    ):
        client.run(pause)
        with pytest.raises(ClusterError, match=r"\(1 paused\).*memory\.pause.*more memory"):
            Ridge().fit(rows, rows[:, 0])
