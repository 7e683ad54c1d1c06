"""Compute keys of a graph in this process in bounded memory: values that do not fit go to disk.

A task-based shuffle, or whole columns that are rechunked to rows, holds all rows at once, both in
its results and in its intermediate values. Values beyond a fixed amount of memory are written to
Dask's temporary directory, and read back one by one. The files are deleted when no object refers to
them any more.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
from dask import threaded
from dask.local import get_sync
from dask.optimization import cull
from dask.sizeof import sizeof
from dask.task_spec import DataNode, Task, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Graph

#: Bytes of results that stay in memory, and also bytes of intermediate values.
MEMORY_NBYTES = 2**28
#: Values of fewer bytes are never written to a file.
_SMALL = 2**12
_NAME = "kept-rows"


class _Directory:
    """A temporary directory that is deleted with the last reference to this object."""

    def __init__(self) -> None:
        within = dask.config.get("temporary-directory", None)
        self.path = Path(tempfile.mkdtemp(prefix="dlbd-rows-", dir=within))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True)
class SpilledValue:
    """A value on disk."""

    directory: _Directory
    name: str

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.directory.path / self.name

    @classmethod
    def write(cls, directory: _Directory, name: str, value: Any) -> SpilledValue:
        """Write a value to a file in the directory."""
        written = cls(directory, name)
        with written.path.open("wb") as file:
            pickle.dump(value, file, protocol=5)
        return written

    def read(self) -> Any:
        """Read the value from the file."""
        with self.path.open("rb") as file:
            return pickle.load(file)


class SpillingCache(MutableMapping[Key, Any]):
    """Values by key, in memory up to a number of bytes, and otherwise on disk.

    Parameters
    ----------
    room : int
        Bytes of values that stay in memory.
    """

    def __init__(self, room: int) -> None:
        self._free = room
        self._held: dict[Key, Any] = {}
        # Sizes of the values in memory that may be written to disk, least recently used first.
        self._sizes: dict[Key, int] = {}
        self._directory: _Directory | None = None
        self._n_written = 0
        self._lock = threading.Lock()

    def __setitem__(self, key: Key, value: Any) -> None:
        size = sizeof(value)
        with self._lock:
            self._forget(key)
            self._held[key] = value
            if size >= _SMALL:
                self._free -= size
                self._sizes[key] = size
            while self._free < 0:
                self._write(next(iter(self._sizes)))

    def __getitem__(self, key: Key) -> Any:
        with self._lock:
            value = self._held[key]
            if key in self._sizes:
                self._sizes[key] = self._sizes.pop(key)
        return value.read() if isinstance(value, SpilledValue) else value

    def _write(self, key: Key) -> None:
        if self._directory is None:
            self._directory = _Directory()
        self._held[key] = SpilledValue.write(self._directory, str(self._n_written), self._held[key])
        self._n_written += 1
        self._free += self._sizes.pop(key)

    def __delitem__(self, key: Key) -> None:
        if key not in self._held:
            raise KeyError(key)
        with self._lock:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._free += self._sizes.pop(key, 0)
        value = self._held.pop(key, None)
        if isinstance(value, SpilledValue):
            value.path.unlink()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def node(self, key: Key) -> Any:
        """Return a node of a graph that gives the value of a key."""
        value = self._held[key]
        return Task(key, value.read) if isinstance(value, SpilledValue) else DataNode(key, value)

    @property
    def n_on_disk(self) -> int:
        """Number of values on disk."""
        return sum(isinstance(held, SpilledValue) for held in self._held.values())


def compute_with_spill(graph: Graph, keys: Sequence[Key], run: Callable[..., Any]) -> SpillingCache:
    """Compute some keys of a graph.

    Parameters
    ----------
    graph : dict
        All tasks that the keys need.
    keys : sequence of key
        Keys to compute.
    run : callable
        The ``get`` function of a Dask scheduler.

    Returns
    -------
    SpillingCache
        Results by key.
    """
    part, _ = cull(graph, list(keys))
    results = SpillingCache(MEMORY_NBYTES)
    if run not in (threaded.get, get_sync):  # a user's scheduler, or one with other processes
        for key, value in zip(keys, run(part, list(keys)), strict=True):
            results[key] = value
        return results

    def keep(key: Key, value: Any) -> None:
        results[key] = value

    # A separate task stores each result, so that the scheduler can release the result.
    keeping = {
        (_NAME, place): Task((_NAME, place), keep, DataNode(None, key), TaskRef(key))
        for place, key in enumerate(keys)
    }
    run({**part, **keeping}, list(keeping), cache=SpillingCache(MEMORY_NBYTES))
    return results
