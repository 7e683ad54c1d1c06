"""Memory of blocks that is used again: only when nothing refers to the block any more."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

from dlbd_estimators.blocks.reused_memory import empty, owns_memory, reusing_memory

SHAPE = (1 << 12, 10)


def address(array):
    return array.__array_interface__["data"][0]


def test_the_memory_of_a_deleted_array_holds_the_next_one():
    with reusing_memory():
        first = empty(SHAPE, np.float32)
        before = address(first)
        del first
        assert address(empty(SHAPE, np.float32)) == before


@pytest.mark.parametrize(
    "view",
    [
        lambda array: array,
        lambda array: array[5:],
        lambda array: array[5:][:, 1:].T,
        lambda array: array.reshape(-1).view(np.uint8)[7:],
        np.asarray,
        memoryview,
    ],
    ids=["array", "rows", "view of a view", "bytes", "asarray", "memoryview"],
)
def test_memory_stays_taken_while_a_view_refers_to_it(view):
    with reusing_memory():
        first = empty(SHAPE, np.float32)
        first[...] = 1.0
        kept = view(first)
        del first
        second = empty(SHAPE, np.float32)
        second[...] = 2.0
        assert not np.may_share_memory(np.asarray(kept), second)
        del kept
        assert empty(SHAPE, np.float32) is not None


def test_an_array_may_outlive_the_context():
    with reusing_memory():
        kept = empty(SHAPE, np.float64)
        kept[...] = 3.0
    with reusing_memory():
        others = [empty(SHAPE, np.float64) for _ in range(3)]
        for other in others:
            other[...] = 4.0
    assert (kept == 3.0).all()
    assert (pickle.loads(pickle.dumps(kept)) == 3.0).all()


def test_no_more_memory_is_held_than_was_in_use_at_a_time(monkeypatch):
    taken = []
    new = np.empty

    def counted(shape, *args, **kwargs):
        taken.append(shape)
        return new(shape, *args, **kwargs)

    monkeypatch.setattr(np, "empty", counted)
    with reusing_memory():
        in_use = [empty(SHAPE, np.float32)]
        for _ in range(20):
            in_use.append(empty(SHAPE, np.float32))
            del in_use[0]
    assert len(taken) == 2


def test_free_memory_of_another_size_is_dropped():
    with reusing_memory():
        for rows in range(SHAPE[0], SHAPE[0] + 20):
            array = empty((rows, 10), np.float32)
            free = array.base._free
            assert len(free._buffers) == 0
            del array
            assert len(free._buffers) == 1
    assert len(free._buffers) == 0


def test_memory_given_back_after_the_context_is_not_kept():
    with reusing_memory():
        kept = empty(SHAPE, np.float32)
        free = kept.base._free
    del kept
    assert len(free._buffers) == 0


def test_each_thread_has_memory_of_its_own():
    found = []
    with reusing_memory():
        thread = threading.Thread(target=lambda: found.append(empty(SHAPE, np.float32).base))
        thread.start()
        thread.join()
        assert found == [None]


def test_small_arrays_and_arrays_outside_of_the_context_are_ordinary():
    with reusing_memory():
        assert empty((10, 10), np.float32).base is None
        assert empty((0, 10), np.float32).shape == (0, 10)
    assert empty(SHAPE, np.float32).base is None


def test_an_array_in_reused_memory_owns_it_and_its_views_do_not():
    with reusing_memory():
        array = empty(SHAPE, np.float32)
        assert array.dtype == np.float32
        assert array.shape == SHAPE
        assert array.flags.writeable
        assert owns_memory(array)
        assert not owns_memory(array[1:])
    assert owns_memory(np.empty(3))


def test_memory_that_cannot_be_allocated():
    with reusing_memory(), pytest.raises(MemoryError):
        empty((2**50, 8), np.float64)
