"""A worker is killed in each pass of all work, two of three at once, and one every 3 seconds."""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest

from tests.faults.work import (
    KINDS,
    N_BLOCKS,
    WORK,
    KillsEvery,
    Reads,
    assert_same_bits,
    expected,
    run,
)

pytestmark = [
    pytest.mark.slow_fault,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", WORK)
def test_a_worker_is_killed_in_every_pass(name, tmp_path):
    # At the first read, and at every eleventh after it. A pass has twelve reads, so there is a
    # death in each pass, and each at another position. A round of a network succeeds only if one
    # worker survives all its twelve reads.
    every = 3 * N_BLOCKS // 2 if name.startswith("network,") else N_BLOCKS - 1
    read = KillsEvery(tmp_path / "reads", every)
    found = run(name, tmp_path, read)
    assert read.n_kills() >= 2
    assert_same_bits(found, expected(name, tmp_path))


def kill(victims):
    for victim in victims:
        os.kill(victim, signal.SIGKILL)


def workers_of(client):
    return sorted(client.run(os.getpid).values())


@pytest.mark.parametrize("name", KINDS)
def test_two_of_three_workers_are_killed_at_once(name, three, tmp_path):
    before = workers_of(three)
    read = Reads(tmp_path / "reads", seconds=0.05)
    killing = read.at(N_BLOCKS // 2, lambda: kill(before[:2]))
    found = run(name, tmp_path, read)
    killing.join()
    three.wait_for_workers(3, timeout=120)
    assert len(set(before) & set(workers_of(three))) == 1
    assert_same_bits(found, expected(name, tmp_path))


@pytest.mark.parametrize("name", ["gradient_descent", "working_set", "network, two replicas"])
def test_a_worker_is_killed_every_three_seconds(name, three, tmp_path):
    ended, draw, deaths = threading.Event(), random.Random(0), []

    def kill_again_and_again():
        while not ended.wait(3):
            # A nanny gives up a worker that dies before it is registered.
            there = {worker.name for worker in three.cluster.scheduler.workers.values()}
            pids = [each.pid for key, each in three.cluster.workers.items() if key in there]
            if pids:
                kill([draw.choice(pids)])
                deaths.append(1)

    killing = threading.Thread(target=kill_again_and_again)
    killing.start()
    try:
        found = run(name, tmp_path, Reads(tmp_path / "reads", seconds=0.6))
    finally:
        ended.set()
        killing.join()
    assert len(deaths) >= 2
    assert_same_bits(found, expected(name, tmp_path))
