"""The time of day jumps on all machines in the middle of a fit."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.faults.processes import printed, started, two_workers
from tests.faults.work import N_BLOCKS, Reads, assert_same_bits, expected, run

pytestmark = [pytest.mark.slow_fault, pytest.mark.timeout(300)]


def shift(seconds):
    """Shift the time of day for all modules of this process; nothing can shift it back."""
    real = time.time

    def shifted():
        return real() + seconds

    for module in list(sys.modules.values()):
        if getattr(module, "time", None) is real:
            module.time = shifted


def seconds_ahead(folder):
    """Return by how much the time of day of this process is ahead of the kernel's."""
    file = Path(folder) / f"now-{os.getpid()}"
    file.touch()
    return time.time() - file.stat().st_mtime


def fit_while_the_clock_jumps(folder, seconds):
    """Run in a process of its own: its clock cannot be set back."""
    folder, seconds = Path(folder), float(seconds)
    wanted = expected("newton", folder)
    with two_workers(folder) as client:
        read = Reads(folder / "reads", 0.1)

        def jump():
            client.run(shift, seconds)
            client.loop.add_callback(shift, seconds)

        jumping = read.at(N_BLOCKS // 2, jump)
        found = run("newton", folder, read)
        jumping.join()
        for ahead in (*client.run(seconds_ahead, folder).values(), seconds_ahead(folder)):
            assert abs(ahead - seconds) < 60
        print("ended", flush=True)  # noqa: T201 - the test reads it
        assert_same_bits(found, wanted)
        assert_same_bits(run("gram", folder), expected("gram", folder))
        print("same", flush=True)  # noqa: T201


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_jumps_changes_no_bit(seconds, tmp_path):
    with started(fit_while_the_clock_jumps, tmp_path, str(seconds)) as process:
        assert printed(process) == ["ended", "same"]


def hold_back(streams):
    """Let messages wait for an hour: they do where the clock is set back before they are sent."""
    for stream in streams:
        stream.next_deadline = time.time() + 3600


def hold_back_of_worker(dask_worker):
    hold_back([dask_worker.batched_stream])


@pytest.mark.parametrize(
    "stream", ["client", "scheduler to client", "scheduler to worker", "worker"]
)
def test_messages_that_wait_since_a_jump_are_sent(stream, tmp_path):
    with two_workers(tmp_path) as client:
        scheduler = client.cluster.scheduler

        def jump():
            if stream == "client":
                client.loop.add_callback(hold_back, [client.scheduler_comm])
            elif stream == "scheduler to client":
                client.loop.add_callback(hold_back, list(scheduler.client_comms.values()))
            elif stream == "scheduler to worker":
                client.loop.add_callback(hold_back, list(scheduler.stream_comms.values()))
            else:
                client.run(hold_back_of_worker)

        read = Reads(tmp_path / "reads", 0.1)
        jumping = read.at(N_BLOCKS // 2, jump)
        found = run("newton", tmp_path, read)
        jumping.join()
        assert_same_bits(found, expected("newton", tmp_path))
