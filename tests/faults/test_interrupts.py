"""Ctrl-C in any phase of any work: it ends at once, leaves no part, and the same work succeeds."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import dask
import pytest

from dlbd_estimators.exceptions import NoWorkers
from tests.faults.processes import printed, start_again, started, two_workers
from tests.faults.work import KINDS, N_BLOCKS, WORK, Reads, assert_same_bits, expected, run

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("_listens_to_interrupts"),
]


@pytest.fixture
def _listens_to_interrupts():
    """A process that was started in the background of a script ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class _Interrupts(Reads):
    """Interrupts a process at one of the reads."""

    def __init__(self, folder, number):
        super().__init__(folder)
        self.number, self.victim = number, os.getpid()

    def act(self, number):
        if number == self.number:
            os.kill(self.victim, signal.SIGINT)
            time.sleep(0.1)  # the work is not to end before the signal arrives


def passes_of(name, folder):
    """Return how often the work reads the blocks."""
    read = Reads(folder / "count")
    with dask.config.set(scheduler="threads"):
        run(name, folder, read)
    return read.count() // N_BLOCKS


def interrupt(name, folder, number):
    """Do some work that is interrupted; a network that has a whole epoch may keep it."""
    read = _Interrupts(folder / f"interrupt-{number}", number)
    if "network" in name:
        try:
            run(name, folder, read)
        except KeyboardInterrupt:
            pass
        except UserWarning as warning:  # warnings are errors here
            assert "interrupted by user" in str(warning)  # noqa: PT017 - either is right
        else:
            pytest.fail("The interrupt was swallowed.")
    else:
        with pytest.raises(KeyboardInterrupt):
            run(name, folder, read)
    assert list(folder.glob(".*writing*")) == []
    assert list(folder.glob("written-*")) == []


@pytest.mark.parametrize("name", WORK)
def test_an_interrupt_in_any_pass_on_threads(name, tmp_path):
    for number in range(N_BLOCKS // 2, N_BLOCKS * passes_of(name, tmp_path), N_BLOCKS):
        if name.startswith("write"):  # what earlier runs have written stays
            for written in tmp_path.glob("written-*"):
                written.rename(tmp_path / f"kept-{written.name}")
        with dask.config.set(scheduler="threads"):
            interrupt(name, tmp_path, number)
    with dask.config.set(scheduler="threads"):
        assert_same_bits(run(name, tmp_path), expected(name, tmp_path))


@pytest.mark.slow_fault
@pytest.mark.parametrize("name", KINDS)
def test_an_interrupt_on_a_cluster_leaves_no_task_there(name, client, tmp_path):
    wanted = expected(name, tmp_path)
    for written in tmp_path.glob("written-*"):
        written.rename(tmp_path / "kept")
    interrupt(name, tmp_path, N_BLOCKS // 2)
    deadline = time.monotonic() + 60
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert_same_bits(run(name, tmp_path), wanted)


def fit_while_interrupted(folder):
    """Fit, while all processes of the group are interrupted; and fit again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(folder)
    wanted = expected("newton", folder)
    with two_workers(folder) as client:
        try:
            run("newton", folder, Reads(folder / "reads", 0.1))
        except KeyboardInterrupt:
            print("interrupted", flush=True)  # noqa: T201 - the test reads it
        # The signal has ended the workers, and a nanny replaces no worker that ends by itself.
        while client.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.05)
        with dask.config.set({"dlbd-estimators.wait-for-workers": "1 s"}):
            try:
                run("newton", folder)
            except NoWorkers:
                print("NoWorkers", flush=True)  # noqa: T201
        start_again(client.cluster, 2)
        assert_same_bits(run("newton", folder), wanted)
        print("same", flush=True)  # noqa: T201


@pytest.mark.slow_fault
def test_an_interrupt_at_a_terminal_reaches_the_workers_too(tmp_path):
    reads = Reads(tmp_path / "reads")
    with started(fit_while_interrupted, tmp_path) as process:
        deadline = time.monotonic() + 120
        while reads.count() < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert printed(process) == ["interrupted", "NoWorkers", "same"]
