"""What a test may not leave behind: settings, clients, files, modules, threads, processes."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import shlex
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
import distributed  # before the first test: it adds its defaults to Dask's configuration
import numpy as np
import psutil

#: Parts of the names of threads that Dask, Bokeh, zarr, fsspec and scikit-learn's callbacks keep,
#: or end late.
KEPT_THREADS = (
    "zarr_",
    "fsspecIO",
    "asyncio_",
    "Dask-Offload",
    "bokeh-response_",
    "Dask-Default-Threads",
    "ThreadPoolExecutor-",
    "(_accept)",
    "(_handle)",
)
#: Seconds that threads and processes get to end in: those of a closed cluster do so by and by.
GRACE = 20.0

_OWN = Path(f"/proc/self/task/{os.getpid()}/children")


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
    modules: dict[str, Any]
    threads: frozenset[threading.Thread]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> Surroundings:
        return cls(
            _configuration(),
            dict(os.environ),
            os.getcwd(),
            frozenset(each.name for each in Path.cwd().iterdir()),
            np.geterr(),
            logging.getLogger().level,
            _default_client(),
            dict(sys.modules),
            frozenset(threading.enumerate()),
            _children(),
        )

    def leftovers(self) -> list[str]:
        """Return a line for each thing that is not as it was."""
        now = Surroundings.now()
        found = []
        if now.config != self.config:
            found.append(f"the Dask configuration of {_changed(self.config, now.config)}")
        # pytest names the running test in the environment; libraries note private settings there
        # when they are first imported, and Dask what its first worker process shall find.
        expected = {
            "PYTEST_CURRENT_TEST",
            "PYTHONHASHSEED",
            "KMP_INIT_AT_FORK",  # scikit-learn's setting for Intel's OpenMP
            *dask.config.get("distributed.nanny.pre-spawn-environ"),
        }
        variables = [
            name
            for name in _changed(self.environment, now.environment)
            if name not in expected and not name.startswith("_")
        ]
        if variables:
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
        modules = []
        if now.modules != self.modules:  # rarely, and looking at thousands takes milliseconds
            modules = [
                name
                for name in {*self.modules, *now.modules}
                if now.modules.get(name) is not self.modules.get(name, now.modules.get(name))
                or (name not in self.modules and now.modules[name] is None)
            ]
        if modules:
            found.append(f"modules that are others now, or missing: {sorted(modules)}")
        return [*found, *self._running()]

    def _running(self) -> list[str]:
        """Return a line for threads and one for processes that do not end in time."""
        deadline = time.monotonic() + GRACE
        while True:
            threads = [
                each.name
                for each in set(threading.enumerate()) - self.threads
                if not any(part in each.name for part in KEPT_THREADS)
            ]
            processes = {
                command
                for command in map(_command, _children() - self.processes)
                # one each for all of a process's life
                if "resource_tracker" not in command and "forkserver" not in command
            }
            if not (threads or processes) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return [
            *([f"threads: {sorted(threads)}"] if threads else []),
            *([f"processes: {sorted(processes)}"] if processes else []),
        ]


_last_configuration: dict[str, Any] = {}


def _configuration() -> dict[str, Any]:
    """Return a copy of Dask's configuration: the last one where nothing has changed since."""
    global _last_configuration  # noqa: PLW0603 - a copy takes milliseconds, before and after each test
    if _last_configuration != dask.config.config:
        _last_configuration = copy.deepcopy(dask.config.config)
    return _last_configuration


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _default_client() -> Any:
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _children() -> frozenset[int]:
    """Return the numbers of the processes that this one has started and has not waited for."""
    if not _OWN.exists():
        return frozenset(each.pid for each in psutil.Process().children())
    # The kernel's own list. To psutil's, 50 times slower, every process of the machine counts.
    numbers: set[str] = set()
    for thread in _OWN.parent.parent.iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            numbers.update((thread / "children").read_text().split())
    return frozenset(map(int, numbers))


def _command(number: int) -> str:
    try:
        return f"{number} {shlex.join(psutil.Process(number).cmdline())}"
    except psutil.Error:
        return str(number)
