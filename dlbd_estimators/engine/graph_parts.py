"""What reads blocks is sent to a worker once a fit, and kept there between passes and rounds.

The part of the graph that some blocks need grows with their number, and does not change while a fit
lasts. The first task that reads them brings it to its worker, pickled; later ones name it. A worker
that has not kept what is named (the task was meant for another, which has died or was busy) says
so, and the client sends the task again with all that it needs.

A bundle reads the same blocks in each pass, and has one part. The replicas of a network read other
blocks in each round: what they read comes in *groups* of consecutive blocks, small enough that
little is unpickled which is not read.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dlbd_estimators.blocks.sequence import BlockSequence, Loader
from dlbd_estimators.engine.per_fit_cache import PerFitCache

AnyBlocks = TypeVar("AnyBlocks", bound=BlockSequence)

_Key = tuple[int, type, bool, Any, str]

#: Share of a worker's memory for the parts of one fit; a part that exceeds it (there may be arrays
#: in it) goes with each pass.
_SHARE = 0.05
#: Blocks of a group.
_GROUP = 32


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
    """What reads some blocks.

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
        #: By loader, kind, known sizes, blocks and worker. None: too large to be kept.
        self._names: dict[_Key, int | None] = {}
        #: By the numbers above, which must not become those of others.
        self._loaders: dict[int, Loader] = {}
        self._nbytes: Counter[str] = Counter()
        self._number = 0

    def named(self, blocks: BlockSequence, indices: Sequence[int], home: str) -> Part | None:
        """Return the name of the part that reads some blocks, where a worker should have it."""
        name = self._names.get(_key(blocks, indices, home))
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
        key = _key(blocks, indices, home)
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

    def grouped(
        self, blocks: AnyBlocks, indices: Sequence[int], home: str, memory: int
    ) -> tuple[dict[range, Part], list[int]]:
        """Return the groups that read some blocks, named or packed, and blocks in none of them.

        These are of groups that are too large to be kept.
        """
        parts: dict[range, Part] = {}
        rest: list[int] = []
        for index in indices:
            group = _group(index, blocks.n_blocks)
            if group in parts:
                continue
            part = self.named(blocks, group, home)
            if part is None and _key(blocks, group, home) not in self._names:
                part = self.packed(blocks, group, blocks.select(group), home, memory)
            if part is None:
                rest.append(index)
            else:
                parts[group] = part
        return parts, rest

    def forget(self, blocks: BlockSequence, indices: Sequence[int], home: str) -> None:
        """Take a part for one that a worker has not."""
        self._names.pop(_key(blocks, indices, home), None)

    def forget_groups(self, blocks: BlockSequence, indices: Sequence[int], home: str) -> None:
        """Take the groups that read some blocks for ones that a worker has not."""
        for group in {_group(index, blocks.n_blocks) for index in indices}:
            self.forget(blocks, group, home)


def _key(blocks: BlockSequence, indices: Sequence[int], home: str) -> _Key:
    # The same rows may be read as they are, and divided into folds later on; or without their
    # numbers, which are known once they have been counted.
    numbers = indices if isinstance(indices, range) else tuple(indices)
    return id(blocks.loader), type(blocks), blocks.sizes is not None, numbers, home


def _group(index: int, n_blocks: int) -> range:
    start = index - index % _GROUP
    return range(start, min(start + _GROUP, n_blocks))


#: The parts that this process keeps. One that is missed is sent again, at the price of a task.
part_store: PerFitCache[Pickled] = PerFitCache(idle_seconds=600.0)


def read_part(fit: str, part: Part) -> Any:
    """Return the blocks of a part, which is kept if it came with them; None if it is not here."""
    pickled = part.pickled
    if pickled is None:
        pickled = part_store.get(fit, part.name)
    else:
        # The client has looked that there is room.
        part_store.put(fit, part.name, pickled, pickled.nbytes, None)
    return None if pickled is None else pickled.load()
