"""Chunks are compressed where this makes them clearly smaller, and parts of a chunk show it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import blosc

from storage import chunk_files
from storage.chunk_files import encode_chunk

N = 2**19  # values of float64 in a chunk of 4 MiB


@pytest.fixture
def compressed(monkeypatch):
    """The bytes that are compressed, and are not only copied."""
    found, compress = [], blosc.compress

    def noted(values, codec, level, shuffle):
        if level:
            found.append(values.nbytes)
        return compress(values, codec, level, shuffle)

    monkeypatch.setattr(blosc, "compress", noted)
    return found


def noise(n=N):
    return np.random.default_rng(0).normal(size=n)


def is_stored_as_it_is(frame, values):
    return len(frame) > values.nbytes


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_noise_is_found_by_compressing_a_part_of_it(dtype, compressed):
    values = np.random.default_rng(0).integers(0, 256, 8 * N).astype("u1").view(dtype)
    frame = encode_chunk(values)
    assert is_stored_as_it_is(frame, values)
    assert blosc.decompress(frame) == values.tobytes()
    assert sum(compressed) <= values.nbytes / 8


@pytest.mark.parametrize("first", [0, N // 2, N - N // 5])
def test_a_chunk_with_a_fifth_that_repeats_is_compressed(first):
    values = noise()
    values[first : first + N // 5] = 1.0
    frame = encode_chunk(values)
    assert len(frame) < chunk_files._WORTH_COMPRESSING * values.nbytes
    assert blosc.decompress(frame) == values.tobytes()


@given(st.integers(0, 9), st.floats(0, 1), st.sampled_from(["float64", "float32"]))
def test_chunks_alike_everywhere_are_stored_as_compressing_all_of_them_shows(seed, share, dtype):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N // 64, 64)).astype(dtype)
    few = rng.random(64) < share
    values[:, few] = np.round(values[:, few])
    whole = blosc.compress(values, b"lz4", 5, blosc.SHUFFLE)
    frame = encode_chunk(values)
    assert blosc.decompress(frame) == values.tobytes()
    worth = len(whole) <= chunk_files._WORTH_COMPRESSING * values.nbytes
    assert is_stored_as_it_is(frame, values) != worth


def test_a_short_chunk_is_compressed_as_a_whole(compressed):
    values = noise(1000)
    assert is_stored_as_it_is(encode_chunk(values), values)
    assert compressed == [values.nbytes]
