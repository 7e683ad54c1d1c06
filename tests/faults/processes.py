"""Processes and clusters that a test may interrupt or kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
from distributed import Client, LocalCluster

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that a process gets, on a busy machine.
TIME = 200

_PROGRAM = """
import sys
import time
from tests.faults.{module} import {function}
if __name__ == "__main__":
    {function}(*sys.argv[1:])
"""


@contextmanager
def two_workers(folder: Path) -> Iterator[Client]:
    """Start a cluster of two worker processes."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def start_again(cluster: LocalCluster, n_workers: int) -> None:
    """Replace all workers, also those that have ended for good, which ``scale`` counts."""
    cluster.scale(0)
    deadline = time.monotonic() + 120
    while cluster.workers:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.scale(n_workers)


@contextmanager
def started(function: object, folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """Start a process that calls a function with a folder; end its whole group in the end."""
    script = folder / "program.py"
    module = function.__module__.rpartition(".")[2]
    script.write_text(_PROGRAM.format(module=module, function=function.__name__))
    with in_own_group(str(script), str(folder), *arguments, stderr=subprocess.PIPE) as process:
        yield process


@contextmanager
def in_own_group(*arguments: str, stderr: int, **environment: str) -> Iterator[subprocess.Popen]:
    """Start Python with these arguments in a new process group; end the whole group in the end."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def printed(process: subprocess.Popen) -> list[str]:
    """Wait for the end of a process; return the words that it has printed."""
    try:
        shown, errors = process.communicate(timeout=TIME)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        shown, errors = process.communicate()
        errors = f"It hung. {errors}"
    assert process.returncode == 0, f"{shown}\n{errors[-4000:]}"
    return shown.split()
