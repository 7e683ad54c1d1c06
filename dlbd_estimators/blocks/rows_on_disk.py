"""Parts of a graph computed in this process, in bounded memory: what has no room lies on disk.

A shuffle by tasks, or whole columns cut into rows, holds all rows at once: its results, and the
pieces on the way. Where these are more than fit in the room given, the others are written to
Dask's temporary directory, and read again one by one. They are deleted with the last that reads
them.
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

#: Bytes of the results, and as many of the pieces on the way, that stay in memory.
ROOM = 2**28
#: What is smaller is not worth a file.
_SMALL = 2**12
_NAME = "kept-rows"


class _Directory:
    """A temporary directory that goes with the last reference to this."""

    def __init__(self) -> None:
        within = dask.config.get("temporary-directory", None)
        self.path = Path(tempfile.mkdtemp(prefix="dlbd-rows-", dir=within))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True)
class OnDisk:
    """A value that lies on disk."""

    directory: _Directory
    name: str

    @property
    def path(self) -> Path:
        """Its file."""
        return self.directory.path / self.name

    @classmethod
    def write(cls, directory: _Directory, name: str, value: Any) -> OnDisk:
        """Write a value."""
        written = cls(directory, name)
        with written.path.open("wb") as file:
            pickle.dump(value, file, protocol=5)
        return written

    def read(self) -> Any:
        """Return the value."""
        with self.path.open("rb") as file:
            return pickle.load(file)


class Values(MutableMapping[Key, Any]):
    """Values by key, in memory as far as there is room, and else on disk.

    Parameters
    ----------
    room : int
        Bytes of them that stay in memory.
    """

    def __init__(self, room: int) -> None:
        self._free = room
        self._held: dict[Key, Any] = {}
        # Of those in memory that may be written, the one longest not asked for first.
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
        return value.read() if isinstance(value, OnDisk) else value

    def _write(self, key: Key) -> None:
        if self._directory is None:
            self._directory = _Directory()
        self._held[key] = OnDisk.write(self._directory, str(self._n_written), self._held[key])
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
        if isinstance(value, OnDisk):
            value.path.unlink()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def node(self, key: Key) -> Any:
        """Return a node of a graph that gives a value."""
        value = self._held[key]
        return Task(key, value.read) if isinstance(value, OnDisk) else DataNode(key, value)

    @property
    def n_on_disk(self) -> int:
        """How many of them lie on disk."""
        return sum(isinstance(each, OnDisk) for each in self._held.values())


def computed(graph: Graph, keys: Sequence[Key], run: Callable[..., Any]) -> Values:
    """Compute some keys of a graph.

    Parameters
    ----------
    graph : dict
        Of all that they need.
    keys : sequence of key
        What to compute.
    run : callable
        Dask's scheduler.

    Returns
    -------
    Values
        By key.
    """
    part, _ = cull(graph, list(keys))
    found = Values(ROOM)
    if run not in (threaded.get, get_sync):  # one of the user's, or other processes
        for key, value in zip(keys, run(part, list(keys)), strict=True):
            found[key] = value
        return found

    def keep(key: Key, value: Any) -> None:
        found[key] = value

    # Each result is put away by a task of its own, so that the scheduler can let go of it.
    keeping = {
        (_NAME, place): Task((_NAME, place), keep, DataNode(None, key), TaskRef(key))
        for place, key in enumerate(keys)
    }
    run({**part, **keeping}, list(keeping), cache=Values(ROOM))
    return found
