"""The blocks of a sample: enough rows, from the whole range, in stages that grow by four."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.sampling import stages


@given(
    n_blocks=st.integers(1, 1_000),
    rows=st.integers(1, 5_000),
    n_parameters=st.integers(1, 60),
    seed=st.integers(0, 3),
)
def test_stages(n_blocks, rows, n_parameters, seed):
    found = stages(n_blocks, n_blocks * rows, n_parameters, seed)
    # Each stage has a power of two of blocks: the least one with thirty rows for each parameter,
    # and the largest one of at most a sixth of all blocks.
    least = max(0, math.ceil(math.log2(30 * n_parameters / rows)))
    largest = math.floor(math.log2(n_blocks / 6)) if n_blocks >= 6 else -1
    if largest < least:
        assert found == ()
        return
    sizes = [len(stage) for stage in found]
    # From the largest one down, each is a quarter of the next; the least comes first in any case.
    wanted = {2**least, *(2**depth for depth in range(largest, least, -2))}
    assert sizes == sorted(wanted)
    assert all(set(one) < set(other) for one, other in pairwise(found))
    for stage in found:
        # One block from each part of the range: halves differ in size by one block at most.
        part = n_blocks / len(stage)
        for number, block in enumerate(stage):
            assert number * part - 2 < block < (number + 1) * part + 2
    assert found == stages(n_blocks, n_blocks * rows, n_parameters, seed)


def test_the_seed_chooses_the_blocks():
    assert len({stages(600, 600_000, 5, seed) for seed in range(5)}) == 5
