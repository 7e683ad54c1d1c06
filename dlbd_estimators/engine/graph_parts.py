"""What reads the blocks of a bundle is sent to a worker once a fit, and kept there between passes.

The part of the graph that a bundle's blocks need grows with their number, and does not change from
pass to pass. The first pass brings it to the worker that is to read the blocks, pickled; later ones
name it. A worker that has not kept what is named (the task was meant for another, which has died or
was busy) says so, and the client sends the task again with all that it needs.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dlbd_estimators.blocks.sequence import BlockSequence, Loader

AnyBlocks = TypeVar("AnyBlocks", bound=BlockSequence)

#: Share of a worker's memory for the parts of one fit; a part that exceeds it (there may be arrays
#: in it) goes with each pass.
_SHARE = 0.05
#: A fit that has not asked for this long is taken to be gone (its client may have died).
_IDLE_SECONDS = 600.0
#: Fits whose end is remembered.
_MAX_ENDED = 256


@dataclass(frozen=True)
class Pickled:
    """An object as bytes, its arrays beside it."""

    head: bytes
    buffers: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """Size of all bytes."""
        return len(self.head) + sum(map(len, self.buffers))

    def load(self) -> Any:
        """Return a new object."""
        return pickle.loads(self.head, buffers=self.buffers)


@dataclass(frozen=True)
class Part:
    """What reads the blocks of a bundle.

    Parameters
    ----------
    name : int
        Under which it is kept, in its fit.
    pickled : Pickled or None
        The blocks; None where the worker should have them.
    """

    name: int
    pickled: Pickled | None = None


class NotKept:
    """Result of a task whose worker has not kept the part that was named. Its type says so."""


class SentParts:
    """What a client knows of the parts that are kept on workers, for one fit and set of workers.

    Parameters
    ----------
    dumps : callable
        ``dumps(object, buffer_callback=...)`` pickles.
    """

    def __init__(self, dumps: Callable[..., bytes]) -> None:
        self._dumps = dumps
        #: By loader and blocks. None: too large to be kept.
        self._names: dict[tuple[int, Any], int | None] = {}
        #: By the numbers above, which must not become those of others.
        self._loaders: dict[int, Loader] = {}
        self._nbytes: Counter[str] = Counter()
        self._number = 0

    def named(self, blocks: BlockSequence, indices: Sequence[int]) -> Part | None:
        """Return the name of the part that reads some blocks, where a worker should have it."""
        name = self._names.get(_key(blocks, indices))
        return None if name is None else Part(name)

    def packed(
        self, blocks: AnyBlocks, indices: Sequence[int], part: AnyBlocks, home: str, memory: int
    ) -> Part | None:
        """Return a part that a worker is to keep, or None where it is too large for that.

        Parameters
        ----------
        blocks : BlockSequence
            All blocks.
        indices : sequence of int
            Those to read.
        part : BlockSequence
            What :meth:`~dlbd_estimators.blocks.sequence.BlockSequence.select` makes of both.
        home : str
            Address of the worker.
        memory : int
            Its bytes; 0 where unknown.
        """
        key = _key(blocks, indices)
        if key in self._names:
            return None  # too large, as was found before
        self._loaders[id(blocks.loader)] = blocks.loader
        self._names[key] = None
        buffers: list[pickle.PickleBuffer] = []
        head = self._dumps(part, buffer_callback=buffers.append)
        # Arrays are counted before they are copied.
        nbytes = len(head) + sum(buffer.raw().nbytes for buffer in buffers)
        if memory and self._nbytes[home] + nbytes > _SHARE * memory:
            return None
        self._nbytes[home] += nbytes
        self._number += 1
        self._names[key] = self._number
        return Part(
            self._number, Pickled(head, tuple(buffer.raw().tobytes() for buffer in buffers))
        )

    def forget(self, blocks: BlockSequence, indices: Sequence[int]) -> None:
        """Take a part for one that no worker has."""
        self._names.pop(_key(blocks, indices), None)


def _key(blocks: BlockSequence, indices: Sequence[int]) -> tuple[int, Any]:
    return id(blocks.loader), indices if isinstance(indices, range) else tuple(indices)


@dataclass
class _Fit:
    parts: dict[int, Pickled] = field(default_factory=dict)
    last_used: float = 0.0


class PartStore:
    """Parts by fit and name, as long as their fits last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: dict[str, _Fit] = {}
        # In the order of their ends; a dict, because a set has no order.
        self._ended: dict[str, None] = {}

    def read(self, fit: str, part: Part) -> Any:
        """Return the blocks of a part, which is kept if it came with them; None if it is not here.

        A fit that was dropped keeps nothing: where one fails, some of its tasks end later.
        """
        now = time.monotonic()
        with self._lock:
            pickled = part.pickled
            if pickled is not None and fit not in self._ended:
                self._drop_idle(now)
                self._fits.setdefault(fit, _Fit()).parts[part.name] = pickled
            entry = self._fits.get(fit)
            if entry is not None:
                entry.last_used = now
                pickled = entry.parts.get(part.name)
        return None if pickled is None else pickled.load()

    def drop(self, fit: str) -> None:
        """Forget the parts of a fit."""
        with self._lock:
            self._fits.pop(fit, None)
            self._ended[fit] = None
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def _drop_idle(self, now: float) -> None:
        for fit, entry in list(self._fits.items()):
            if now - entry.last_used > _IDLE_SECONDS:
                del self._fits[fit]


#: The parts that this process keeps.
part_store = PartStore()
