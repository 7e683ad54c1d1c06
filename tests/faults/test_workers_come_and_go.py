"""Workers stand still, retire, join and leave, hold persisted chunks, or come back late."""

from __future__ import annotations

import os
import signal
import time

import dask
import dask.array as da
import pytest
from distributed import wait

from dlbd_estimators import Ridge
from dlbd_estimators.engine import task_results
from dlbd_estimators.exceptions import BlockTooLarge, ClusterError, WorkersLost
from tests.faults.processes import start_again
from tests.faults.work import (
    N_BLOCKS,
    ROWS,
    WORK,
    Reads,
    Rows,
    assert_same_bits,
    expected,
    lazy,
    run,
)

pytestmark = [
    pytest.mark.slow_fault,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

#: One of each kind of pass: sums, steps of a solver, rounds of a network.
FEW = ("gram", "newton", "network, two replicas")


def during(name, folder, act, *, seconds=0.1, number=N_BLOCKS // 2):
    """Do some work, act once some blocks have been read, and compare the bits."""
    read = Reads(folder / "reads", seconds)
    acting = read.at(number, act)
    try:
        found = run(name, folder, read)
    finally:
        acting.join()
    assert_same_bits(found, expected(name, folder))


def allow_failures(client, number):
    """Let so many workers die of a task before the task is given up."""

    def set_limit(dask_scheduler):
        dask_scheduler.allowed_failures = number

    client.run_on_scheduler(set_limit)


def pids(client):
    return sorted(client.run(os.getpid).values())


def kill_all(cluster, victims):
    """Kill all workers, whose nannies start no others."""
    for nanny in cluster.workers.values():
        nanny.close_gracefully()  # it ends when its worker ends
    for victim in victims:
        os.kill(victim, signal.SIGKILL)


@pytest.mark.parametrize("name", FEW)
def test_every_worker_is_killed_and_others_come_after_15_seconds(name, three, tmp_path):
    before, reads, without_workers = pids(three), Reads(tmp_path / "reads"), []

    def go_and_come_back():
        kill_all(three.cluster, before)
        time.sleep(15)
        without_workers.append(reads.count())
        start_again(three.cluster, 3)

    during(name, tmp_path, go_and_come_back)
    assert N_BLOCKS // 2 <= without_workers[0] < reads.count()
    assert not set(before) & set(pids(three))


def test_every_worker_is_killed_and_none_comes(three, tmp_path):
    before, read = pids(three), Reads(tmp_path / "reads", 0.3)
    killing = read.at(N_BLOCKS // 2, lambda: kill_all(three.cluster, before))
    try:
        with (
            dask.config.set({"dlbd-estimators.wait-for-lost-workers": "2 s"}),
            pytest.raises(ClusterError, match=r"No worker is left.*pass 1 .* results had arrived"),
        ):
            run("gram", tmp_path, read)
    finally:
        killing.join()
        start_again(three.cluster, 3)


@pytest.mark.parametrize("name", FEW)
def test_a_worker_is_stopped_for_20_seconds(name, three, tmp_path):
    victim = pids(three)[0]

    def stop():
        os.kill(victim, signal.SIGSTOP)
        time.sleep(20)
        os.kill(victim, signal.SIGCONT)

    during(name, tmp_path, stop)
    assert victim in pids(three)  # not taken for dead


def test_a_worker_is_stopped_for_good_with_default_settings(three, tmp_path):
    victim = pids(three)[0]
    during("newton", tmp_path, lambda: os.kill(victim, signal.SIGSTOP))
    three.wait_for_workers(3, timeout=120)
    assert victim not in pids(three)  # its nanny has replaced it


@pytest.mark.parametrize("name", FEW)
def test_workers_retire(name, three, tmp_path):
    gone = sorted(three.scheduler_info(n_workers=-1)["workers"])[:2]

    def retire():
        three.retire_workers(gone, close_workers=True)

    during(name, tmp_path, retire)
    assert not set(gone) & set(three.scheduler_info(n_workers=-1)["workers"])
    start_again(three.cluster, 3)  # a LocalCluster does not replace workers that have retired


@pytest.mark.parametrize("name", FEW)
def test_a_cluster_of_one_grows_to_four_and_shrinks_to_one(name, three, tmp_path):
    cluster = three.cluster
    cluster.scale(1)
    while len(three.scheduler_info(n_workers=-1)["workers"]) > 1:
        time.sleep(0.05)

    def grow_and_shrink():
        cluster.scale(4)
        three.wait_for_workers(4, timeout=120)
        cluster.scale(1)

    during(name, tmp_path, grow_and_shrink, seconds=0.3)


@pytest.mark.parametrize("name", FEW)
def test_an_adaptive_cluster_may_begin_without_workers(name, three, tmp_path):
    cluster = three.cluster
    cluster.scale(0)
    while three.scheduler_info(n_workers=-1)["workers"]:
        time.sleep(0.05)
    adaptive = cluster.adapt(minimum=0, maximum=3, interval="200 ms", wait_count=2)
    try:
        assert_same_bits(
            run(name, tmp_path, Reads(tmp_path / "reads", 0.1)), expected(name, tmp_path)
        )
    finally:
        adaptive.stop()


@pytest.mark.parametrize("name", ["newton", "network, two replicas", "metrics"])
def test_persisted_chunks_are_lost_with_their_worker(name, three, tmp_path):
    lazily = lazy()
    X, y, labels = (each.persist() for each in lazily)
    wait([X, y, labels])
    victim = pids(three)[0]
    read = Reads(tmp_path / "reads", 0.05)
    killing = read.at(N_BLOCKS // 2, lambda: os.kill(victim, signal.SIGKILL))
    slowly = X.map_blocks(read, meta=X._meta)
    with dask.config.set({"dlbd-estimators.cache-share": 0.0}):
        found = WORK[name](Rows(slowly, y, labels, tmp_path))
    killing.join()
    assert_same_bits(found, expected(name, tmp_path))


def test_scattered_chunks_are_lost_with_their_workers(three):
    """They have no graph, so nothing can compute them again: the error says so."""
    X, y, _ = lazy()
    part = three.scatter(X[:ROWS].compute(), broadcast=False)
    whole = da.concatenate([da.from_delayed(part, (ROWS, X.shape[1]), X.dtype), X[ROWS:]])
    holder = next(address for address in three.who_has(part)[part.key])
    victim = three.run(os.getpid, workers=[holder])[holder]
    os.kill(victim, signal.SIGKILL)
    while part.status not in {"lost", "cancelled"}:
        time.sleep(0.05)
    with pytest.raises(WorkersLost, match="lacks data that the pass needs"):
        Ridge().fit(whole, y)


def _takes_all_memory(block, block_info=None):
    if block_info and block_info[0]["chunk-location"][0] == 3:
        held = []
        while True:  # until the nanny ends this process
            held.append(bytearray(b"x") * 2**25)
            time.sleep(0.02)
    return block


def test_a_block_that_takes_all_memory_is_named(three, monkeypatch):
    monkeypatch.setattr(task_results, "_BLOCK_DEATHS", 1)  # four take a minute
    allow_failures(three, 0)
    X, y, _ = lazy()
    with pytest.raises(WorkersLost, match=r"block 3 \(rows 120 to 160\).*memory"):
        Ridge().fit(X.map_blocks(_takes_all_memory, meta=X._meta), y)
    allow_failures(three, 3)


@pytest.mark.usefixtures("three")
def test_a_block_larger_than_a_worker_is_refused():
    X = da.zeros((10**7, 20), chunks=(5 * 10**6, 20))
    with pytest.raises(BlockTooLarge, match=r"takes 763 MiB"):
        Ridge().fit(X, da.zeros(10**7, chunks=5 * 10**6))


def test_the_loop_of_the_client_and_the_scheduler_stalls(three, tmp_path):
    during("newton", tmp_path, lambda: three.loop.add_callback(time.sleep, 6))


def test_the_loop_of_every_worker_stalls(three, tmp_path):
    async def stall():
        time.sleep(6)

    during("newton", tmp_path, lambda: three.run(stall, wait=False))
