"""No fit waits for ever for a cluster: it moves on, or a typed error says what is missing."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

from dlbd_estimators import Ridge
from dlbd_estimators.exceptions import ClusterError, NoWorkers, WorkersLost
from tests.engine.test_cluster import own_cluster

N, P, ROWS = 400, 3, 20

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


class _Slowly:
    """Reads slowly, and says that it has begun."""

    def __init__(self, directory):
        self.begun = Path(directory) / "begun"

    def __call__(self, block):
        self.begun.touch()
        time.sleep(0.05)
        return block

    def then(self, act):
        """Act in a thread, once a read has begun."""

        def wait():
            deadline = time.monotonic() + 60
            while not self.begun.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            act()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


@pytest.fixture
def arrays():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, P))
    return X, X @ np.arange(1.0, P + 1) + rng.normal(size=N)


def lazy(arrays, read):
    X, y = (da.from_array(array, chunks=(ROWS, *array.shape[1:])) for array in arrays)
    return X.map_blocks(read, meta=np.empty((0, 0))), y


@pytest.mark.usefixtures("client")
def test_an_address_that_is_gone_is_an_error(arrays, tmp_path):
    with (
        dask.config.set({"dlbd-estimators.wait-for-workers": "0.5 s"}),
        dask.annotate(workers=["tcp://127.0.0.1:9"]),
        pytest.raises(ClusterError, match=r"No worker takes a task.*tcp://127\.0\.0\.1:9.*pass 1"),
    ):
        Ridge().fit(*lazy(arrays, _Slowly(tmp_path)))


def test_a_client_closed_in_the_middle_of_a_pass_is_an_error(cluster, arrays, tmp_path):
    read = _Slowly(tmp_path)
    with Client(cluster) as client:
        closing = read.then(client.close)
        with pytest.raises(ClusterError, match=r"lost during pass 1 of the fit"):
            Ridge().fit(*lazy(arrays, read))
        closing.join()


@pytest.fixture
def _listens_to_interrupts():
    """A process that was started in the background of a script ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("cluster", "_listens_to_interrupts")
def test_an_interrupted_fit_leaves_nothing_on_the_cluster(client, arrays, tmp_path):
    read = _Slowly(tmp_path)
    interrupting = read.then(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        Ridge().fit(*lazy(arrays, read))
    interrupting.join()
    deadline = time.monotonic() + 60
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    model = Ridge().fit(*lazy(arrays, read))
    np.testing.assert_array_equal(model.coef_, Ridge().fit(*lazy(arrays, _itself)).coef_)


def _itself(block):
    return block


class _KillsOnce:
    """Kills the worker that reads first."""

    def __init__(self, directory):
        self.begun = Path(directory) / "begun"

    def __call__(self, block):
        try:
            self.begun.touch(exist_ok=False)
        except FileExistsError:
            return block
        os._exit(1)


class _KillsAt:
    """Kills each worker that reads one block."""

    def __init__(self, row, directory):
        self.first = row
        self.deaths = Path(directory) / "deaths"

    def __call__(self, block, block_info=None):
        if block_info and block_info[0]["array-location"][0][0] == self.first:
            with self.deaths.open("a") as file:
                file.write("x")
            os._exit(1)
        return block

    def then(self, act, deaths):
        """Act in a thread, once so many workers have died."""

        def wait():
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                if self.deaths.exists() and self.deaths.stat().st_size >= deaths:
                    break
                time.sleep(0.01)
            act()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


def test_faults_of_one_cluster(arrays, tmp_path):
    """One after the other, because a cluster of processes takes long to start."""
    with dask.config.set(scheduler="threads"):
        X, y = lazy(arrays, _itself)
        expected = Ridge().fit(X, y).coef_
        centred = Ridge().fit(X - X.mean(axis=0), y).coef_
    settings = {"distributed.scheduler.allowed-failures": 0}
    with dask.config.set(settings), own_cluster(2, tmp_path) as client:
        # A worker dies of what several blocks need.
        X, y = lazy(arrays, _KillsOnce(tmp_path))
        model = Ridge().fit(X - X.mean(axis=0), y)
        np.testing.assert_array_equal(model.coef_, centred)

        # A worker stands still for good.
        client.wait_for_workers(2, timeout=150)
        (tmp_path / "begun").unlink()
        read = _Slowly(tmp_path)
        victim = next(iter(client.run(os.getpid).values()))
        stopping = read.then(lambda: os.kill(victim, signal.SIGSTOP))
        with dask.config.set({"dlbd-estimators.silent-worker": "3 s"}):
            model = Ridge().fit(*lazy(arrays, read))
        stopping.join()
        np.testing.assert_array_equal(model.coef_, expected)

        # All workers go; and come back.
        client.wait_for_workers(2, timeout=150)
        (tmp_path / "begun").unlink()

        def go_and_come_back():
            client.cluster.scale(0)
            while client.scheduler_info()["workers"]:
                time.sleep(0.05)
            client.cluster.scale(2)

        going = read.then(go_and_come_back)
        model = Ridge().fit(*lazy(arrays, read))
        going.join()
        np.testing.assert_array_equal(model.coef_, expected)

        # All workers go for good.
        client.wait_for_workers(2, timeout=150)
        (tmp_path / "begun").unlink()
        going = read.then(lambda: client.cluster.scale(0))
        with (
            dask.config.set({"dlbd-estimators.wait-for-lost-workers": "1 s"}),
            pytest.raises(ClusterError, match=r"No worker is left.*pass 1 .* results had arrived"),
        ):
            Ridge().fit(*lazy(arrays, read))
        going.join()
        with (
            dask.config.set({"dlbd-estimators.wait-for-workers": "1 s"}),
            pytest.raises(NoWorkers, match=r"has no worker, and none has come in 1 s"),
        ):
            Ridge().fit(*lazy(arrays, read))
        client.cluster.scale(2)


def test_a_block_that_kills_workers_until_none_is_left_is_named(arrays, tmp_path):
    """As with Dask's defaults, which let four workers die of a task."""
    kills = _KillsAt(ROWS * 3, tmp_path)
    settings = {
        "distributed.scheduler.allowed-failures": 3,
        "dlbd-estimators.wait-for-workers": "1 s",
        "dlbd-estimators.wait-for-lost-workers": "1 h",
    }
    with dask.config.set(settings), own_cluster(1, tmp_path) as client:
        going = kills.then(lambda: client.cluster.scale(0), deaths=5)
        with pytest.raises(
            WorkersLost, match=r"^4 workers died .* no worker is left .* block 3 .* alone"
        ):
            Ridge().fit(*lazy(arrays, kills))
        going.join()
        client.cluster.scale(1)
