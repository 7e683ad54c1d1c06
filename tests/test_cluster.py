"""The shared cluster is what its users take it for."""

from __future__ import annotations

import os
import warnings

import dask.array as da
import pytest
from distributed import Client, LocalCluster, default_client


def process_id() -> int:
    warnings.warn("warnings are not errors on workers", stacklevel=2)
    return os.getpid()


def test_workers_are_processes_and_run_functions_of_test_modules(client: Client) -> None:
    here, there = os.getpid(), client.run(process_id)
    assert len(set(there.values())) == 2
    assert here not in there.values()


def test_dask_collections_run_on_the_cluster(client: Client) -> None:
    assert default_client() is client
    assert da.ones((10, 2), chunks=(3, 2)).sum().compute() == 20


def test_tests_on_the_cluster_are_marked(
    request: pytest.FixtureRequest, cluster: LocalCluster
) -> None:
    assert request.node.get_closest_marker("cluster") is not None
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
