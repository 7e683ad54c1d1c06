"""The files of a block come side by side: each is decoded when it arrives, whatever the order."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
import scipy.sparse
from zarr.storage import MemoryStore

import storage
from storage.clock import decoding

SIZES = {"chunk_nbytes": 480, "block_nbytes": 8_000}
X = np.arange(900.0).reshape(300, 3)
Y = np.arange(300.0)


class InOrder(MemoryStore):
    """Answers requests of chunks of X in the order of `delays`: the smallest comes first."""

    delays = ()
    n_asked = n_most = 0

    async def get(self, key, prototype, byte_range=None):
        name, _, chunk = key.partition("/c.")
        if name != "X" or not self.delays:
            return await super().get(key, prototype, byte_range)
        self.n_asked += 1
        self.n_most = max(self.n_most, self.n_asked)
        number = int(chunk.split(".")[0])
        await asyncio.sleep(0.01 * self.delays[number % len(self.delays)])
        self.n_asked -= 1
        found = await super().get(key, prototype, byte_range)
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture(params=["dense", "sparse"])
def data(request):
    rows = X if request.param == "dense" else scipy.sparse.csr_array(X)
    return storage.create_dataset(InOrder(), rows, Y, **SIZES)


def rows_of(data):
    found = data.X.compute(scheduler="synchronous")
    return found.toarray() if scipy.sparse.issparse(found) else found


@pytest.mark.parametrize("delays", [(5, 4, 3, 2, 1, 0), (0, 3, 1, 4, 2)])
def test_rows_keep_their_order(data, delays):
    data.store.for_zarr().delays = delays
    np.testing.assert_array_equal(rows_of(data), X)


def test_all_files_of_a_block_are_requested_at_once(data):
    store = data.store.for_zarr()
    store.delays = (1,)
    data.X.blocks[0].compute(scheduler="synchronous")
    per_block = data.schema.block_rows // data.layouts["X"].chunk_rows
    assert store.n_most == per_block > 4


def test_of_several_damaged_chunks_the_first_is_named_and_no_thread_is_left(data):
    layout, before = data.layouts["X"], threading.active_count()
    for chunk in (1, 3):
        data.store.delete(layout.key(chunk))
    data.store.for_zarr().delays = (4, 3, 2, 1)  # the second one comes first
    for _ in range(3):
        with pytest.raises(storage.ChunkCorrupt, match="chunk 1 of array 'X'"):
            data.X.compute(scheduler="synchronous")
    assert threading.active_count() == before


def test_decoding_is_counted_in_the_thread_that_reads(data):
    before = decoding.seconds
    rows_of(data)
    assert decoding.seconds > before
