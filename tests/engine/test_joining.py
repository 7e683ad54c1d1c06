"""Large partials are joined on the workers: same bits, one partial to the client, nothing lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed.comm import tcp
from distributed.utils import key_split

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.engine import cluster as cluster_module
from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.kernel import Kernel
from tests.engine.test_cluster import assert_same_bits, own_cluster, scheduler_keys

N, P, ROWS = 1600, 80, 50

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def all_stay(monkeypatch):
    """Partials of any size stay on their workers."""
    monkeypatch.setattr(cluster_module, "large_nbytes", lambda _n_bundles: 0)


def arrays(function=None):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, P))
    score = X @ np.linspace(-1, 1, P) + 3 * rng.normal(size=N)
    lazy = da.from_array(X, chunks=(ROWS, P))
    if function is not None:
        lazy = lazy.map_blocks(function, meta=np.empty((0, 0)))
    return lazy, da.from_array(score, chunks=ROWS)


def fitted(X, score):
    nearly = da.concatenate([X, X[:, :1] * (1 + 1e-12)], axis=1).rechunk({1: -1})
    models = [
        Ridge().fit(X, score),
        Ridge(alpha=0).fit(nearly, score),  # by orthogonal factors
        LogisticRegression(tol=1e-4).fit(X, score > 0),
        LogisticRegression(tol=1e-2).fit(X, da.digitize(score, [-3.0, 3.0])),
    ]
    return [np.append(np.ravel(model.coef_), model.intercept_) for model in models]


@pytest.fixture(scope="module")
def expected():
    """What threads of this process find."""
    with dask.config.set(scheduler="threads"):
        return fitted(*arrays())


@pytest.mark.usefixtures("all_stay")
def test_any_partial_may_be_joined_on_the_workers(client, expected):
    assert_same_bits(fitted(*arrays()), expected)
    before = set(scheduler_keys(client))
    Ridge().fit(*arrays())
    names = Counter(key_split(key) for key in scheduler_keys(client) if key not in before)
    assert names == {"ridge-gram-pass": 8, "ridge-gram-pass-join": 7}


@pytest.mark.usefixtures("all_stay")
def test_chunks_that_lie_on_the_workers_are_joined_there_too(client, expected):
    X, score = (array.persist() for array in arrays())
    model = Ridge().fit(X, score)
    assert_same_bits([np.append(model.coef_, model.intercept_)], expected[:1])
    del X, score
    assert client.status == "running"


@pytest.mark.usefixtures("all_stay")
def test_one_thread_of_one_worker_joins_for_fits_inside_its_tasks(expected, tmp_path):
    with own_cluster(1, tmp_path) as client:
        futures = client.map(fit_held, range(3), pure=False)
        for found in client.gather(futures):
            assert_same_bits(found, expected[:1])


def fit_held(_number):
    cluster_module.large_nbytes = lambda _n_bundles: 0
    model = Ridge().fit(*arrays())
    return [np.append(model.coef_, model.intercept_)]


@pytest.mark.usefixtures("client")
def test_the_client_receives_one_partial_a_pass(monkeypatch):
    received = []
    read = tcp.read_bytes_rw

    async def counting(stream, n):
        received.append(n)
        return await read(stream, n)

    p, rows, n_blocks = 1000, 32, 24
    X = da.random.default_rng(0).normal(size=(n_blocks * rows, p), chunks=(rows, p))
    y = X[:, 0] + X[:, 1] ** 2
    monkeypatch.setattr(tcp, "read_bytes_rw", counting)
    model = Ridge(solver="gram").fit(X, y)
    assert model.n_passes_ == 1
    # One half of its moments, once to the scheduler and once to the client: both run here.
    assert 8e6 < sum(received) < 10e6
    monkeypatch.setattr(tcp, "read_bytes_rw", read)
    received.clear()
    with dask.config.set(scheduler="threads"):
        np.testing.assert_array_equal(Ridge(solver="gram").fit(X, y).coef_, model.coef_)


@dataclass(frozen=True)
class _Sums(Kernel):
    """Sums of products of the columns; may refuse to join them."""

    message: str = ""

    def __call__(self, block, parameters):
        return block.X.T @ block.X

    def combine(self, left, right):
        if self.message:
            raise ZeroDivisionError(self.message)
        left += right
        right[...] = np.nan  # whose memory it is makes no difference
        return left

    def is_finite(self, partial):
        return True


def run(executor, kernel):
    from dlbd_estimators.blocks.dask_blocks import from_dask

    with executor:
        return executor.map_reduce(kernel, None, from_dask(*arrays(), None), name="sums")


@pytest.mark.usefixtures("all_stay")
def test_what_goes_wrong_in_joining_is_told(client):
    with pytest.raises(ZeroDivisionError, match="cannot be joined"):
        run(ClusterExecutor(client), _Sums("cannot be joined"))


@pytest.mark.usefixtures("all_stay")
def test_costs_are_those_of_the_bundles(client):
    mine, other = run(ClusterExecutor(client), _Sums()), run(ThreadExecutor(2), _Sums())
    np.testing.assert_array_equal(mine.partial, other.partial)
    assert mine.cost.n_tasks == other.cost.n_tasks == 8
    assert mine.cost.n_blocks == other.cost.n_blocks == N // ROWS
    assert mine.cost.bytes_read == other.cost.bytes_read


class _Reads:
    """Says in a directory that a block is read; the last one waits there until workers died."""

    def __init__(self, directory):
        self.directory = directory

    def __call__(self, block, block_info=None):
        directory = Path(self.directory)
        (directory / f"read-{time.monotonic_ns()}-{os.getpid()}").touch()
        deadline = time.monotonic() + 100
        if block_info[0]["chunk-location"][0] == N // ROWS - 1:
            while not (directory / "killed").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        return block


def holders(client):
    """Workers with partials of a pass in memory, those that run tasks besides first."""
    running = client.processing()
    found = [
        worker
        for worker, keys in client.has_what().items()
        if any(str(key).startswith("ridge-gram-pass") for key in keys)
    ]
    return sorted(found, key=lambda worker: -len(running.get(worker, ())))


def kill_holders(client, n_victims, directory, killed):
    """Kill workers that hold partials, and others besides, when the last block holds up the rest.

    Those are few: bundles that wait behind it, where the worker that reads it has taken some.
    """
    pids = client.run(os.getpid)
    begun = time.monotonic()
    n_reads, since = 0, begun
    while time.monotonic() < begun + 90 and not killed:
        time.sleep(0.1)
        before, n_reads = n_reads, len(list(directory.glob("read-*")))
        since = time.monotonic() if n_reads != before else since
        stands_still = n_reads > N // ROWS // 2 and time.monotonic() > since + 2
        found = holders(client)
        if found and (n_reads >= N // ROWS or stands_still):
            killed += [*found, *(worker for worker in pids if worker not in found)][:n_victims]
    (directory / "killed").touch()
    for victim in killed:
        os.kill(pids[victim], signal.SIGKILL)


@pytest.mark.long
@pytest.mark.usefixtures("all_stay")
@pytest.mark.parametrize(
    ("n_workers", "n_victims", "failures"), [(3, 1, 3), (2, 2, 3), (1, 1, 3), (2, 1, 0)]
)
def test_workers_killed_while_they_hold_partials_change_no_bit(
    n_workers, n_victims, failures, expected, tmp_path
):
    reads = tmp_path / "reads"
    reads.mkdir()
    X, score = arrays(_Reads(reads))
    killed = []
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": failures}),
        own_cluster(n_workers, tmp_path) as client,
    ):
        client.wait_for_workers(n_workers)
        killer = threading.Thread(target=kill_holders, args=(client, n_victims, reads, killed))
        killer.start()
        model = Ridge().fit(X, score)
        killer.join()
    assert len(killed) == n_victims
    # What they had read and held was read again.
    assert len(list(reads.glob("read-*"))) > N // ROWS
    assert_same_bits([np.append(model.coef_, model.intercept_)], expected[:1])
