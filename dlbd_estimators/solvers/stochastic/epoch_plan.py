"""Which replica trains on which blocks, and when, in one epoch.

The blocks are put in a random order and dealt out to the replicas in nearly equal shares; each
replica's share is cut into fills of the shuffle buffer, and these into rounds. All of this
follows from the number of blocks, the replicas and the seed: never from the workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.network import cut

#: Updates of a replica between two synchronisations, about: "hundreds" in DiLoCo (arXiv
#: 2311.08105), and so many that tasks of small networks outlast what it costs to start them.
_UPDATES = 1_000
#: Blocks that are mixed at least, where replicas meet more often for smaller fills.
_MIXED_BLOCKS = 4
#: Fills of a round, at most: what is lost when a worker dies, and what a task reads before its
#: first update is one of them.
_MAX_FILLS = 8

#: Blocks that are in the buffer together.
Fill = tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """How an epoch is divided into replicas, rounds and fills.

    Parameters
    ----------
    n_replicas : int
        Shares of the blocks.
    fill_blocks : int
        Blocks of a fill, at most.
    round_fills : int
        Fills of a round and replica, at most.
    """

    n_replicas: int
    fill_blocks: int
    round_fills: int

    @classmethod
    def of(cls, n_replicas: int, fill_blocks: int, block_rows: int, batch_size: int) -> Shape:
        """Choose the length of rounds: enough updates, few enough fills.

        A replica that is alone has nobody to wait for: its rounds are as long as they may be.

        Parameters
        ----------
        n_replicas : int
            Shares of the blocks.
        fill_blocks : int
            Blocks that there is memory for.
        block_rows : int
            Rows of the largest block.
        batch_size : int
            Rows of an update.
        """
        if n_replicas == 1:
            return cls(n_replicas, fill_blocks, _MAX_FILLS)
        needed = -(-_UPDATES * batch_size // block_rows)
        fill_blocks = min(fill_blocks, max(needed, _MIXED_BLOCKS))
        updates = max(1, fill_blocks * block_rows // batch_size)
        return cls(n_replicas, fill_blocks, min(_MAX_FILLS, -(-_UPDATES // updates)))


def plan_epoch(
    n_blocks: int, shape: Shape, rng: np.random.Generator | None
) -> list[list[tuple[Fill, ...]]]:
    """Return, by round and replica, the fills; a replica may have none in a round.

    Parameters
    ----------
    n_blocks : int
        Blocks of the data, each of which is seen once.
    shape : Shape
        How to cut.
    rng : Generator or None
        Puts the blocks in order; None leaves them as they are.
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
    """Cut blocks into as few nearly equal fills as hold them."""
    n_fills = -(-len(blocks) // size)
    return tuple(
        tuple(int(index) for index in blocks[cut(len(blocks), number, n_fills)])
        for number in range(n_fills)
    )
