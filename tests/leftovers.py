"""What a test may not leave behind: settings, clients, threads, processes, files."""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
import distributed
import numpy as np
import psutil

# Imported here, before the first test: it adds its defaults to Dask's configuration.

#: Parts of the names of threads that live as long as the process once a library has started
#: them: Dask's own pools and event loops, Hypothesis's and pytest's watchers, OpenBLAS's and
#: joblib's helpers.
_LASTING = (
    "IO loop",
    "Profile",
    "Dask-",
    "ThreadPoolExecutor",  # dask.threaded keeps its default pool
    "asyncio_",
    "TCP-Executor",
    "zarr_io",
    "zarr_pool",
    "fsspecIO",
    "pytest_timeout",
    "WorkerMemory",
    "Nanny",
    "AsyncProcess",
    "Offload",
    "MainThread",
    "QueueManagerThread",
    "ExecutorManagerThread",
    "Thread-",  # those without a name: multiprocessing's managers and servers, in scikit-learn
)
#: How long a thread or a process may take to end after the test that started it.
_GRACE = 5.0


@dataclass(frozen=True)
class Surroundings:
    """What a test finds, and has to leave as it was."""

    config: dict[str, Any]
    environment: dict[str, str]
    folder: str
    files: frozenset[str]
    errstate: dict[str, str]
    level: int
    client: Any
    threads: frozenset[int]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> Surroundings:
        return cls(
            copy.deepcopy(dask.config.config),
            dict(os.environ),
            os.getcwd(),
            frozenset(each.name for each in Path.cwd().iterdir()),
            np.geterr(),
            logging.getLogger().level,
            _default_client(),
            frozenset(map(id, threading.enumerate())),
            frozenset(each.pid for each in psutil.Process().children(recursive=True)),
        )

    def leftovers(self) -> list[str]:
        """Return a line for each thing that is not as it was."""
        now = Surroundings.now()
        found = []
        if now.config != self.config:
            changed = {
                k for k in {*now.config, *self.config} if now.config.get(k) != self.config.get(k)
            }
            found.append(f"the Dask configuration of {sorted(changed)}")
        # pytest names the running test in the environment.
        variables = _changed(self.environment, now.environment)
        if set(variables) - {"PYTEST_CURRENT_TEST"}:
            found.append(f"the environment variables {variables}")
        if now.folder != self.folder:
            found.append(f"the working directory: {now.folder}")
        elif now.files - self.files - {".cache"}:
            found.append(f"files in {now.folder}: {sorted(now.files - self.files)}")
        if now.errstate != self.errstate:
            found.append(f"NumPy's settings of errors: {now.errstate}")
        if now.level != self.level:
            found.append(f"the level of logging: {now.level}")
        if now.client is not None and now.client is not self.client:
            found.append(f"a default client: {now.client}")
        return [*found, *self._running()]

    def _running(self) -> list[str]:
        """Wait for what is about to end; return what does not."""
        deadline = time.monotonic() + _GRACE
        while True:
            threads = [
                each.name
                for each in threading.enumerate()
                if id(each) not in self.threads and not any(part in each.name for part in _LASTING)
            ]
            processes = [
                " ".join(each.cmdline()[:4])
                for each in _children()
                if each.pid not in self.processes
            ]
            if not (threads or processes) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return [
            *(f"the thread {name}" for name in threads),
            *(f"the process {line}" for line in processes),
        ]


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _children() -> list[psutil.Process]:
    children = []
    for each in psutil.Process().children(recursive=True):
        try:
            line = " ".join(each.cmdline())
            over = each.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
        # Python's own helpers of multiprocessing stay until the interpreter ends.
        if not over and "resource_tracker" not in line and "forkserver" not in line:
            children.append(each)
    return children


def _default_client() -> Any:
    try:
        return distributed.default_client()
    except ValueError:
        return None
