"""What is kept for a fit is a fixed set, fits its budget, and does not outlive the fit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine import cache, per_fit_cache
from dlbd_estimators.engine.per_fit_cache import PerFitCache
from dlbd_estimators.kernels.kernel import Block


def block(rows=10):
    return Block(np.zeros((rows, 9)), np.zeros(rows))


NBYTES = block().nbytes
IDLE = 120.0


class BlockCache(PerFitCache):
    """Blocks by fit and index."""

    def __init__(self):
        super().__init__(IDLE)

    def put(self, fit, index, value, budget):
        super().put(fit, index, value, value.nbytes, budget)


def test_a_block_comes_back_as_it_was_put():
    store, put = BlockCache(), block()
    store.put("fit", 3, put, 10 * NBYTES)
    assert store.get("fit", 3) is put
    assert store.get("fit", 4) is None
    assert store.get("other fit", 3) is None


def test_the_budget_holds_and_the_first_blocks_stay():
    store = BlockCache()
    for _ in range(3):  # passes
        for index in range(10):
            if store.get("fit", index) is None:
                store.put("fit", index, block(), 4 * NBYTES + 1)
    assert [index for index in range(10) if store.get("fit", index) is not None] == [0, 1, 2, 3]


def test_a_smaller_block_may_still_fit():
    store = BlockCache()
    store.put("fit", 0, block(), 2 * NBYTES - 1)
    store.put("fit", 1, block(), 2 * NBYTES - 1)
    store.put("fit", 2, block(5), 2 * NBYTES - 1)
    assert store.get("fit", 1) is None
    assert store.get("fit", 2) is not None


def test_fits_share_the_budget():
    store = BlockCache()
    store.put("one", 0, block(), 2 * NBYTES)
    store.put("two", 0, block(), 2 * NBYTES)
    store.put("two", 1, block(), 2 * NBYTES)
    assert store.get("two", 1) is None
    store.drop("one")
    store.put("two", 1, block(), 2 * NBYTES)
    assert store.get("one", 0) is None
    assert store.get("two", 1) is not None


def test_what_a_task_brings_after_its_fit_ended_is_not_kept(monkeypatch):
    monkeypatch.setattr(per_fit_cache, "_MAX_ENDED", 2)
    store = BlockCache()
    for fit in ("one", "two", "three"):
        store.drop(fit)
        store.put(fit, 0, block(), 10 * NBYTES)
        assert store.get(fit, 0) is None
    store.put("one", 0, block(), 10 * NBYTES)  # too long ago to be remembered
    assert store.get("one", 0) is not None


def test_weights_count():
    heavy = Block(np.zeros((10, 9)), np.zeros(10), np.zeros(10))
    store = BlockCache()
    store.put("fit", 0, heavy, heavy.nbytes - 1)
    assert store.get("fit", 0) is None
    store.put("fit", 0, heavy, heavy.nbytes)
    assert store.get("fit", 0) is heavy


class Weighed(Block):
    """Counts how often it is asked for its size."""

    times = 0

    @property
    def nbytes(self):
        Weighed.times += 1
        return super().nbytes


def test_what_is_kept_is_not_weighed_again():
    store = BlockCache()
    for index in range(1000):
        store.put("fit", index, Weighed(np.zeros((1, 1)), np.zeros(1)), 16 * 900)
    assert store.get("fit", 899) is not None
    assert store.get("fit", 900) is None
    assert Weighed.times <= 4 * 1000


def _total(fits):
    return sum(block.nbytes for blocks in fits.values() for block in blocks.values())


STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 5), st.integers(1, 8)),
    st.tuples(st.just("drop"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 200.0])),
)


@given(st.lists(STEPS, max_size=40))
def test_the_budget_is_that_of_all_that_is_kept(steps):
    """Blocks of the fits, by their number, against a plain dict that is summed each time."""
    budget, now = 20 * 8 * 3, 0.0
    store, model, used = BlockCache(), {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(per_fit_cache.time, "monotonic", lambda: now)
        for number, (kind, *step) in enumerate(steps):
            if kind == "wait":
                now += step[0]
            elif kind == "drop":
                store.drop(f"{step[0]}")
                patch.setattr(store, "_ended", {})  # so that it may begin again
                model.pop(step[0], None)
            else:
                fit, index, rows = step
                mine = Block(np.full((rows, 2), number), np.zeros(rows))
                store.put(f"{fit}", index, mine, budget)
                if _total(model) + mine.nbytes > budget:
                    model = {f: b for f, b in model.items() if now - used[f] <= IDLE}
                if _total(model) + mine.nbytes <= budget:
                    model.setdefault(fit, {})[index] = mine
                    used[fit] = now
        for fit in range(4):
            for index in range(6):
                assert store.get(f"{fit}", index) is model.get(fit, {}).get(index)


def test_idle_fits_give_way_and_busy_ones_do_not(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(per_fit_cache.time, "monotonic", lambda: now)
    store = BlockCache()
    store.put("idle", 0, block(), 2 * NBYTES)
    store.put("busy", 0, block(), 2 * NBYTES)
    now += IDLE - 1
    assert store.get("busy", 0) is not None
    store.put("new", 0, block(), 2 * NBYTES)
    assert store.get("new", 0) is None
    now += 2
    store.put("new", 0, block(), 2 * NBYTES)
    assert store.get("idle", 0) is None
    assert store.get("busy", 0) is not None
    assert store.get("new", 0) is not None


@pytest.mark.parametrize("part", ["X", "y", "weight"])
def test_a_view_of_something_larger_is_not_kept(part, monkeypatch):
    store = PerFitCache(IDLE)
    monkeypatch.setattr(cache, "block_cache", store)
    arrays = {"X": np.zeros((10, 9)), "y": np.zeros(10), "weight": np.zeros(10)}
    arrays[part] = np.zeros((1000, *arrays[part].shape[1:]))[:10]
    cache.keep_block("fit", 0, Block(**arrays), 10**9)
    assert store.get("fit", 0) is None
    arrays[part] = np.zeros(arrays[part].size).reshape(arrays[part].shape)  # a view of its own
    cache.keep_block("fit", 0, Block(**arrays), 10**9)
    assert store.get("fit", 0) is not None


def test_without_a_budget_all_is_kept_but_what_is_of_fits_that_are_gone(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(per_fit_cache.time, "monotonic", lambda: now)
    store = PerFitCache(IDLE)
    store.put("gone", 0, "value", 10**12, None)
    store.put("here", 0, "value", 10**12, None)
    assert len(store) == 2
    now += IDLE + 1
    assert store.get("here", 0) == "value"
    store.put("new", 0, "value", 10**12, None)
    assert [store.get(fit, 0) for fit in ("gone", "here", "new")] == [None, "value", "value"]
    store.clear()
    assert len(store) == 0


def test_threads_never_exceed_the_budget():
    store = BlockCache()

    def work(fit):
        for index in range(200):
            store.put(fit, index, block(), 50 * NBYTES)
            store.get(fit, index)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = sum(store.get(str(i), j) is not None for i in range(4) for j in range(200))
    assert count == 50
