"""Plan an epoch: which replica trains on which blocks, and in which round.

The blocks are put in a random order and distributed to the replicas in nearly equal shares. Each
replica's share is divided into fills of the shuffle buffer, and these into rounds. The plan depends
only on the number of blocks, the replicas and the seed, and never on the workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.network import cut

#: Approximate number of updates of a replica between two synchronisations: "hundreds" in DiLoCo
#: (arXiv 2311.08105). Tasks of small networks then take longer than it takes to start them.
_UPDATES = 1_000
#: Least number of blocks in a fill, if fills are made smaller to synchronise more often.
_MIXED_BLOCKS = 4
#: Largest number of fills in a round. If a worker dies, a round is lost; before its first update,
#: a task reads one fill.
_MAX_FILLS = 8

#: Blocks whose rows are in the buffer at the same time.
Fill = tuple[int, ...]


@dataclass(frozen=True)
class EpochLayout:
    """How an epoch is divided into replicas, rounds and fills.

    Parameters
    ----------
    n_replicas : int
        Number of replicas; each trains on a share of the blocks.
    fill_blocks : int
        Largest number of blocks in a fill.
    round_fills : int
        Largest number of fills of a replica in a round.
    """

    n_replicas: int
    fill_blocks: int
    round_fills: int

    @classmethod
    def of(cls, n_replicas: int, fill_blocks: int, block_rows: int, batch_size: int) -> EpochLayout:
        """Choose the length of rounds: enough updates, but few fills.

        A single replica needs no synchronisation: its rounds are as long as allowed.

        Parameters
        ----------
        n_replicas : int
            Number of replicas.
        fill_blocks : int
            Number of blocks that the memory of a replica can hold.
        block_rows : int
            Number of rows of the largest block.
        batch_size : int
            Number of rows of an update.
        """
        if n_replicas == 1:
            return cls(n_replicas, fill_blocks, _MAX_FILLS)
        needed = -(-_UPDATES * batch_size // block_rows)
        fill_blocks = min(fill_blocks, max(needed, _MIXED_BLOCKS))
        updates = max(1, fill_blocks * block_rows // batch_size)
        return cls(n_replicas, fill_blocks, min(_MAX_FILLS, -(-_UPDATES // updates)))


def plan_epoch(
    n_blocks: int, shape: EpochLayout, rng: np.random.Generator | None
) -> list[list[tuple[Fill, ...]]]:
    """Return the fills of each round and replica; a replica may have none in a round.

    Parameters
    ----------
    n_blocks : int
        Number of blocks; each of them is used once.
    shape : EpochLayout
        How the epoch is divided.
    rng : Generator or None
        Chooses the order of the blocks; None keeps the order in which they are stored.
    """
    order = np.arange(n_blocks) if rng is None else rng.permutation(n_blocks)
    shares = [
        _fills(order[cut(n_blocks, i, shape.n_replicas)], shape.fill_blocks)
        for i in range(shape.n_replicas)
    ]
    n_rounds = -(-max(len(fills) for fills in shares) // shape.round_fills)
    return [
        [fills[cut(len(fills), number, n_rounds)] for fills in shares] for number in range(n_rounds)
    ]


def _fills(blocks: NDArray[Any], size: int) -> tuple[Fill, ...]:
    """Divide blocks into the least number of fills, of nearly equal size."""
    n_fills = -(-len(blocks) // size)
    return tuple(
        tuple(int(index) for index in blocks[cut(len(blocks), number, n_fills)])
        for number in range(n_fills)
    )
