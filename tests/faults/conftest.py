"""A cluster of three workers that may be killed, for all rows of one file."""

from __future__ import annotations

from collections.abc import Iterator

import dask
import pytest
from distributed import Client, LocalCluster

from tests.leftovers import Surroundings


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three worker processes of one thread each, which are started again when they end."""
    before = Surroundings.now()
    # By default a LocalCluster gives up a worker that is not back after 15 s. On a busy machine
    # that may happen to any worker.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            memory_limit="1GiB",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path_factory.mktemp("killable")),
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster
        cluster.scale(3)
        with Client(cluster, set_as_default=False) as client:
            # Dask leaves processes behind if it is closed while it starts workers again.
            client.wait_for_workers(3, timeout=120)
    left = before.leftovers()
    if left:
        pytest.fail(f"The cluster left behind {'; '.join(left)}.", pytrace=False)


@pytest.fixture
def three(killable: LocalCluster) -> Iterator[Client]:
    """A client of three workers, all of which are there when the test begins."""
    killable.scale(3)
    with Client(killable) as client:
        client.wait_for_workers(3, timeout=120)
        yield client
