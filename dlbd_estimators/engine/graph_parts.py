"""Graph parts: the parts of a graph that read blocks, sent to each worker once and kept there.

The part of the graph that reads some blocks grows with their number, and does not change during a
fit. The first task that reads the blocks carries the pickled part to its worker; later tasks only
name it. A worker may not have the part that is named, because the task was meant for another worker
that has died or was busy. Then the result is :class:`NotKept`, and the client sends the task again
with the part.

A bundle reads the same blocks in each pass, and has one part. The replicas of a network read other
blocks in each round. Their parts read *groups* of consecutive blocks. Groups are small, so that few
blocks are unpickled without being read.
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

#: Share of a worker's memory for the parts of one fit. A part that does not fit (it may hold
#: arrays) is sent with each pass.
_SHARE = 0.05
#: Number of blocks in a group.
_GROUP = 32


@dataclass(frozen=True)
class Pickled:
    """A pickled object, with the bytes of its arrays in separate buffers."""

    head: bytes
    buffers: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """Total number of bytes."""
        return len(self.head) + sum(map(len, self.buffers))

    def load(self) -> Any:
        """Unpickle the object; each call returns a new one."""
        return pickle.loads(self.head, buffers=self.buffers)


@dataclass(frozen=True)
class Part:
    """The part of the graph that reads some blocks.

    Parameters
    ----------
    name : int
        Name of the part on the worker, unique in a fit.
    pickled : Pickled or None
        The part itself; None if the worker should have it already.
    """

    name: int
    pickled: Pickled | None = None


class NotKept:
    """Result of a task that named a part which its worker does not have."""


class SentParts:
    """The parts that a client has sent to workers, for one fit and one set of workers.

    Parameters
    ----------
    dumps : callable
        ``dumps(object, buffer_callback=...)`` returns the pickled object.
    """

    def __init__(self, dumps: Callable[..., bytes]) -> None:
        self._dumps = dumps
        #: Names of parts, by the keys of `_key`. None: the part is too large to keep.
        self._names: dict[_Key, int | None] = {}
        #: The loaders by id. They are kept alive because Python could give the id of a deleted
        #: loader to a new one, and the keys above contain ids.
        self._loaders: dict[int, Loader] = {}
        self._nbytes: Counter[str] = Counter()
        self._number = 0

    def named(self, blocks: BlockSequence, indices: Sequence[int], home: str) -> Part | None:
        """Return the name of the part that reads some blocks, if a worker should have it."""
        name = self._names.get(_key(blocks, indices, home))
        return None if name is None else Part(name)

    def packed(
        self, blocks: AnyBlocks, indices: Sequence[int], part: AnyBlocks, home: str, memory: int
    ) -> Part | None:
        """Return a part for a worker to keep, or None if it is too large to keep.

        Parameters
        ----------
        blocks : BlockSequence
            All blocks.
        indices : sequence of int
            Numbers of the blocks to read.
        part : BlockSequence
            The blocks to read, with nothing else: the result of
            :meth:`~dlbd_estimators.blocks.sequence.BlockSequence.select`.
        home : str
            Address of the worker.
        memory : int
            Memory of the worker in bytes; 0 if unknown.
        """
        key = _key(blocks, indices, home)
        if key in self._names:
            return None  # an earlier call has found it too large
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
        """Return the groups that read some blocks, named or packed, and the remaining blocks.

        The remaining blocks belong to groups that are too large to keep.
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
        """Note that a worker does not have the part that reads some blocks."""
        self._names.pop(_key(blocks, indices, home), None)

    def forget_groups(self, blocks: BlockSequence, indices: Sequence[int], home: str) -> None:
        """Note that a worker does not have the groups that read some blocks."""
        for group in {_group(index, blocks.n_blocks) for index in indices}:
            self.forget(blocks, group, home)


def _key(blocks: BlockSequence, indices: Sequence[int], home: str) -> _Key:
    # The same loader may read all rows first and later folds of them (another type of blocks), and
    # unknown sizes of blocks may become known. Both need another part.
    numbers = indices if isinstance(indices, range) else tuple(indices)
    return id(blocks.loader), type(blocks), blocks.sizes is not None, numbers, home


def _group(index: int, n_blocks: int) -> range:
    start = index - index % _GROUP
    return range(start, min(start + _GROUP, n_blocks))


#: The parts that this process keeps. A missing part is sent again, which costs one more task.
part_store: PerFitCache[Pickled] = PerFitCache(idle_seconds=600.0)


def read_part(fit: str, part: Part) -> Any:
    """Return the blocks of a part; keep the part if it is new.

    The result is None if the part is only named and this process does not have it.
    """
    pickled = part.pickled
    if pickled is None:
        pickled = part_store.get(fit, part.name)
    else:
        # The client has checked that there is room.
        part_store.put(fit, part.name, pickled, pickled.nbytes, None)
    return None if pickled is None else pickled.load()
