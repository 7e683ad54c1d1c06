from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.layout import BLOCK_NBYTES, CHUNK_NBYTES, ArrayLayout, plan_rows, side_chunk_rows

MIB = 2**20


@given(
    n_rows=st.integers(1, 10**9),
    x_row=st.integers(4, 10**6),
    side=st.integers(1, 10**4),
    chunk=st.integers(1, 16 * MIB),
    blocks=st.integers(1, 20),
)
def test_blocks_are_whole_chunks_within_their_sizes(n_rows, x_row, side, chunk, blocks):
    block = chunk * blocks
    chunk_rows, block_rows = plan_rows(
        n_rows, x_row, x_row + side, chunk_nbytes=chunk, block_nbytes=block
    )
    assert 1 <= chunk_rows <= n_rows
    assert block_rows % chunk_rows == 0
    assert chunk_rows == 1 or chunk_rows * x_row <= chunk
    assert block_rows == chunk_rows or block_rows * (x_row + side) <= block
    rows = side_chunk_rows(chunk_rows, block_rows, side, chunk)
    assert block_rows % rows == 0


def test_defaults_at_a_hundred_features():
    chunk_rows, block_rows = plan_rows(
        8_000_000, 400, 408, chunk_nbytes=CHUNK_NBYTES, block_nbytes=BLOCK_NBYTES
    )
    assert 3.9 * MIB < chunk_rows * 400 <= 4 * MIB
    assert 27 * MIB < block_rows * 408 <= 32 * MIB
    assert side_chunk_rows(chunk_rows, block_rows, 8, CHUNK_NBYTES) == block_rows


def test_a_chunk_beyond_the_compressor_is_refused():
    with pytest.raises(ValueError, match="more than the compressor's"):
        plan_rows(10, 2**31, 2**31, chunk_nbytes=2**33, block_nbytes=2**33)


@given(n_rows=st.integers(1, 500), chunk_rows=st.integers(1, 60))
def test_chunks_cover_the_rows_once(n_rows, chunk_rows):
    layout = ArrayLayout("X", "float32", n_rows, (2,), chunk_rows)
    rows = [row for chunk in range(layout.n_chunks) for row in range(*layout.rows_of(chunk))]
    assert rows == list(range(n_rows))
    assert list(layout.chunks_of(0, n_rows)) == list(range(layout.n_chunks))
    assert layout.key(1) == "X/c.1.0"
