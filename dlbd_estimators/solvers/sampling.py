"""Choose the blocks of a sample."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dlbd_estimators.engine.reduction_tree import nodes, stratified

#: A sample has at least this many rows for each parameter.
_ROWS_PER_PARAMETER = 30
#: A sample that is a larger share of the data than this costs more time than it saves.
_SHARE = 1 / 6

Sample = tuple[int, ...]


@lru_cache(maxsize=8)
def stages(n_blocks: int, n_rows: int, n_parameters: int, seed: int) -> tuple[Sample, ...]:
    """Return the blocks of a sample, in stages: each contains the one before, and is four times it.

    The first stage has just enough rows for the model's parameters. Every stage has one block from
    each part of the whole range, because the data may be sorted. The result is empty if even the
    first stage would be too large a share of the data.
    """
    wanted = _ROWS_PER_PARAMETER * n_parameters * n_blocks
    smallest = 0
    while n_rows * 2**smallest < wanted:
        smallest += 1
    largest = int(n_blocks * _SHARE).bit_length() - 1
    if largest < smallest:
        return ()
    rng = np.random.default_rng(seed)
    chosen = list(stratified(n_blocks, largest, lambda a, b: int(rng.integers(a, b))))
    samples = [chosen]
    for depth in sorted({smallest, *range(largest - 2, smallest, -2)}, reverse=True):
        if depth < largest:
            ranges = nodes(len(samples[0]), depth)
            samples.insert(0, [samples[0][rng.integers(a, b)] for a, b in ranges])
    return tuple(tuple(stage) for stage in samples)
