"""Hold out some rows of every block, to validate a model on rows that it was not trained on.

Holding out whole blocks would be cheaper. But if the data are sorted, whole blocks are not a
representative sample of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.sequence import Loader, Rows


@dataclass(frozen=True)
class SplitLoader(Loader):
    """Read some rows of each block, chosen at random from the seed and the number of the block.

    Parameters
    ----------
    source : Blocks
        Blocks with all rows.
    fraction : float
        Share of each block's rows that is held out, rounded at random.
    seed : int
        Seed of the random choice.
    held_out : bool
        Read the held-out rows; if False, read all other rows.
    """

    source: Blocks
    fraction: float
    seed: int
    held_out: bool

    def read(self, index: int, *, features: bool = True) -> Rows:
        rows = self.source.loader.read(index, features=features)
        chosen = self.choose(index, len(rows.y))
        return Rows(*(None if part is None else np.asarray(part)[chosen] for part in rows))

    def choose(self, index: int, n_rows: int) -> NDArray[np.intp]:
        """Return the positions of the rows that are read, in order."""
        rng = np.random.default_rng((self.seed, index))
        n_held_out = int(np.floor(self.fraction * n_rows + rng.random()))
        order = rng.permutation(n_rows)
        return np.sort(order[:n_held_out] if self.held_out else order[n_held_out:])

    def stored(self) -> Blocks:
        return self.source

    def select(self, indices: Sequence[int]) -> Loader:
        return replace(self, source=self.source.select(indices))

    def remote_inputs(self, indices: Sequence[int]) -> dict[Any, Any]:
        return self.source.loader.remote_inputs(indices)

    def with_inputs(self, inputs: dict[Any, Any]) -> Loader:
        loader = self.source.loader.with_inputs(inputs)
        return replace(self, source=replace(self.source, loader=loader))


def hold_out(blocks: Blocks, fraction: float, seed: int) -> tuple[Blocks, Blocks]:
    """Split blocks into blocks of the rows to train on and blocks of the held-out rows.

    Parameters
    ----------
    blocks : Blocks
        Blocks whose sizes are known.
    fraction : float
        Share of the rows to hold out, in (0, 1).
    seed : int
        Seed of the random choice.
    """
    assert blocks.sizes is not None
    parts = []
    for held_out in (False, True):
        loader = SplitLoader(blocks, fraction, seed, held_out)
        sizes = tuple(len(loader.choose(i, size)) for i, size in enumerate(blocks.sizes))
        parts.append(replace(blocks, loader=loader, sizes=sizes))
    return parts[0], parts[1]
