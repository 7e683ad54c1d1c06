"""What blocks have in common: the parts of a graph that many of them need.

The blocks that need a part are followed from the blocks down to what they are made of. Nearly
always they are a few neighbours, or all: so a set of blocks is kept as the runs of its numbers,
and work and memory grow with the graph, not with its square. Sets of many scattered blocks are
kept bit by bit, where that takes less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from dask.typing import Key

#: Sorted runs ``(start, stop)`` of block numbers, with gaps between them; or bit i is block i.
BlockSet = tuple[tuple[int, int], ...] | int

#: A set of more runs than this, and than blocks by the next number, is kept bit by bit.
_FEW_RUNS = 16
_BLOCKS_PER_RUN = 1024


@dataclass(frozen=True)
class Sharing:
    """What blocks have in common.

    Attributes
    ----------
    shared : list of key
        What more than half of the blocks need, other than by way of another such part.
    replays : float
        How often a task that is not shared would be run to read every block once, on average.
    """

    shared: list[Key]
    replays: float


def sharing(
    dependencies: Mapping[Key, Iterable[Key]],
    outputs: Sequence[tuple[Key, ...]],
    many: int | None = None,
) -> Sharing:
    """Find what blocks have in common.

    Of ``X - X.mean(0)`` that is the mean alone: every block needs all of X, but only to find the
    mean.

    Parameters
    ----------
    dependencies : dict
        Of all tasks.
    outputs : sequence of tuple of key
        What makes up each block.
    many : int, optional
        What more blocks than this need is shared; by default half of them, or two.
    """
    n_blocks = len(outputs)
    # Of two blocks each may touch the same stored chunk: no reason to send that with both.
    many = max(2, n_blocks // 2) if many is None else many
    users = Counter(chain.from_iterable(dependencies.values()))
    made = set(chain.from_iterable(outputs))
    references = users.total() + sum(map(len, outputs))
    if outputs and references == len(made | users.keys()):
        return Sharing([], 1.0)  # nothing is needed twice, as nearly always
    # By key, the sets of its users and of the blocks that it makes up: joined when all are known.
    needed_by: dict[Key, list[BlockSet]] = {}
    for index, keys in enumerate(outputs):
        alone = ((index, index + 1),)
        for key in keys:
            needed_by.setdefault(key, []).append(alone)
    shared: list[Key] = []
    runs = tasks = 0
    ready = [key for key in dependencies if key not in users]
    while ready:
        key = ready.pop()
        # Blocks that need it by a path that meets no shared key.
        sets = needed_by.pop(key, [])
        blocks = sets[0] if len(sets) == 1 else union(sets, n_blocks)
        count = size(blocks)
        if count > many:
            shared.append(key)
            blocks, count = (), 0
        runs += count
        tasks += count > 0
        for needed in dependencies[key]:
            if count:
                needed_by.setdefault(needed, []).append(blocks)
            users[needed] -= 1
            if not users[needed]:
                ready.append(needed)
    return Sharing(shared, runs / max(tasks, 1))


def union(sets: Sequence[BlockSet], n_blocks: int) -> BlockSet:
    """Join sets of blocks.

    Parameters
    ----------
    sets : sequence of tuple or int
        As :data:`BlockSet` says.
    n_blocks : int
        All blocks there are.
    """
    if len(sets) == 1 or (sets and all(each is sets[0] for each in sets)):
        return sets[0]
    runs = _joined(run for each in sets if not isinstance(each, int) for run in each)
    bits = 0
    for each in sets:
        if isinstance(each, int):
            bits |= each
    if bits or len(runs) > max(_FEW_RUNS, n_blocks // _BLOCKS_PER_RUN):
        return bits | _bits(runs, n_blocks)
    return runs


def size(blocks: BlockSet) -> int:
    """Count the blocks of a set."""
    if isinstance(blocks, int):
        return blocks.bit_count()
    if len(blocks) == 1:
        return blocks[0][1] - blocks[0][0]
    return sum(stop - start for start, stop in blocks)


def _joined(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join runs that touch or overlap."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(runs):
        if joined and start <= joined[-1][1]:
            if stop > joined[-1][1]:
                joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def _bits(runs: Sequence[tuple[int, int]], n_blocks: int) -> int:
    """Return runs bit by bit."""
    # Edges, then a running sum: one at a time, each run would take time by all blocks.
    edges = np.zeros(n_blocks + 1, dtype=np.int8)
    for start, stop in runs:
        edges[start] += 1
        edges[stop] -= 1
    return int.from_bytes(np.packbits(np.cumsum(edges[:-1]), bitorder="little"), "little")
