"""Find the tasks of a graph that many blocks need.

The set of blocks that need a task is passed on from each task to its dependencies, beginning with
the blocks. Nearly always, such a set is a few neighbouring blocks or all blocks. It is therefore
stored as runs of block numbers, so that time and memory grow with the size of the graph, not with
its square. A set of many scattered blocks is stored as a bit mask if that takes less memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from dask.typing import Key

#: A set of blocks: sorted runs ``(start, stop)`` of block numbers, with gaps between them; or a bit
#: mask, in which bit i is block i.
BlockSet = tuple[tuple[int, int], ...] | int

#: A set is stored as a bit mask if it has more runs than this, and more runs than the number of
#: blocks divided by the next constant.
_FEW_RUNS = 16
_BLOCKS_PER_RUN = 1024


@dataclass(frozen=True)
class Sharing:
    """The tasks that many blocks need.

    Attributes
    ----------
    shared : list of key
        Keys that more than half of the blocks need, not only through another such key.
    replays : float
        Average number of runs of a task that is not shared, if every block is read once.
    """

    shared: list[Key]
    replays: float


def sharing(
    dependencies: Mapping[Key, Iterable[Key]],
    outputs: Sequence[tuple[Key, ...]],
    many: int | None = None,
) -> Sharing:
    """Find the tasks that many blocks need.

    For ``X - X.mean(0)`` this is only the mean: every block needs all of X, but only to compute the
    mean.

    Parameters
    ----------
    dependencies : dict
        Dependencies of each task.
    outputs : sequence of tuple of key
        Keys that make up each block.
    many : int, optional
        A task is shared if more blocks than this need it. The default is half of the blocks, and at
        least two.
    """
    n_blocks = len(outputs)
    # At least two: two blocks may read the same stored chunk, which need not be sent with both.
    many = max(2, n_blocks // 2) if many is None else many
    users = Counter(chain.from_iterable(dependencies.values()))
    made = set(chain.from_iterable(outputs))
    references = users.total() + sum(map(len, outputs))
    if outputs and references == len(made | users.keys()):
        return Sharing([], 1.0)  # no task is needed twice: the usual case
    # For each key, the sets of blocks that need it, one from each task that depends on it. They are
    # joined when all of these tasks are done.
    needed_by: dict[Key, list[BlockSet]] = {}
    for index, keys in enumerate(outputs):
        single_block = ((index, index + 1),)
        for key in keys:
            needed_by.setdefault(key, []).append(single_block)
    shared: list[Key] = []
    runs = tasks = 0
    ready = [key for key in dependencies if key not in users]
    while ready:
        key = ready.pop()
        # Blocks that need the key through a path without a shared key.
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
        Sets as described at :data:`BlockSet`.
    n_blocks : int
        Number of all blocks.
    """
    if len(sets) == 1 or (sets and all(block_set is sets[0] for block_set in sets)):
        return sets[0]
    runs = _merge_runs(
        run for block_set in sets if not isinstance(block_set, int) for run in block_set
    )
    bits = 0
    for block_set in sets:
        if isinstance(block_set, int):
            bits |= block_set
    if bits or len(runs) > max(_FEW_RUNS, n_blocks // _BLOCKS_PER_RUN):
        return bits | _bit_mask(runs, n_blocks)
    return runs


def size(blocks: BlockSet) -> int:
    """Count the blocks of a set."""
    if isinstance(blocks, int):
        return blocks.bit_count()
    if len(blocks) == 1:
        return blocks[0][1] - blocks[0][0]
    return sum(stop - start for start, stop in blocks)


def _merge_runs(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join runs that touch or overlap."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(runs):
        if joined and start <= joined[-1][1]:
            if stop > joined[-1][1]:
                joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def _bit_mask(runs: Sequence[tuple[int, int]], n_blocks: int) -> int:
    """Convert runs to a bit mask."""
    # A cumulative sum of edges: to add runs one by one, each would take time O(n_blocks).
    edges = np.zeros(n_blocks + 1, dtype=np.int8)
    for start, stop in runs:
        edges[start] += 1
        edges[stop] -= 1
    return int.from_bytes(np.packbits(np.cumsum(edges[:-1]), bitorder="little"), "little")
