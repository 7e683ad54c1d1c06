"""Memory that files are read into begins with a line of the cache."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.reused_memory import empty, reusing_memory
from dlbd_estimators.kernels.arrays import aligned_bytes
from dlbd_estimators.kernels.kernel import scratch

LINE = 64


@given(st.integers(1, 2**18))
def test_it_has_the_size_and_begins_with_a_line(nbytes):
    memory = aligned_bytes(nbytes)
    assert memory.shape == (nbytes,)
    assert memory.flags.c_contiguous
    assert memory.flags.writeable
    assert memory.ctypes.data % LINE == 0


def test_large_buffers_and_blocks_do():
    with reusing_memory():
        for array in (scratch("aligned", (2**20,), np.uint8), empty((2**10, 2**8), np.float32)):
            assert array.ctypes.data % LINE == 0
