"""The scheduler is killed: a typed error, and the checkpoint holds what was reached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import dask
import pytest
from distributed import Client

from dlbd_estimators import LogisticRegression
from dlbd_estimators.exceptions import ClusterError
from tests.faults.processes import ROOT
from tests.faults.work import N_BLOCKS, Reads, assert_same_bits, bits, lazy

pytestmark = [pytest.mark.slow_fault, pytest.mark.timeout(300)]


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers, each a process of its own; yields the scheduler's."""
    file = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(file), "--host", "127.0.0.1"]
    pages = ["--dashboard-address", "127.0.0.1:0"]
    commands = [["scheduler", "--port", "0", *pages], *[["worker", "--no-nanny", *pages]] * 2]
    with ExitStack() as stack:
        processes = []
        for name, *options in commands:
            command = [sys.executable, "-m", "dask", name, *common, *options]
            output = stack.enter_context((tmp_path / f"log-{len(processes)}").open("w"))
            process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
            deadline = time.monotonic() + 100
            while not file.exists():
                assert time.monotonic() < deadline, (tmp_path / "log-0").read_text()
                time.sleep(0.05)
        yield file, processes[0]


def test_a_scheduler_that_is_killed_is_an_error_and_the_fit_goes_on(scheduler, tmp_path):
    file, process = scheduler

    def fit(read, checkpoint=None):
        X, _, labels = lazy(read)
        model = LogisticRegression(solver="lbfgs", checkpoint=checkpoint)
        return bits(model.fit(X, labels))

    with dask.config.set({"scheduler": "threads", "dlbd-estimators.cache-share": 0.0}):
        whole = fit(None)
    with (
        dask.config.set({"dlbd-estimators.cache-share": 0.0}),
        Client(scheduler_file=str(file)) as client,
    ):
        client.wait_for_workers(2, timeout=100)
        read = Reads(tmp_path / "reads", 0.05)
        killing = read.at(4 * N_BLOCKS, lambda: os.kill(process.pid, signal.SIGKILL))
        with pytest.raises(ClusterError, match=r"connection to the scheduler .* was lost during"):
            fit(read, str(tmp_path / "fit"))
        killing.join()
    counted = Reads(tmp_path / "counted")
    with dask.config.set({"scheduler": "threads", "dlbd-estimators.cache-share": 0.0}):
        assert_same_bits(fit(counted, str(tmp_path / "fit")), whole)
        again = Reads(tmp_path / "again")
        fit(again)
    assert counted.count() < again.count()  # it did not begin anew
