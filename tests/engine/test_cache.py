"""The cached set is fixed, fits its budget, and does not outlive its fit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine import cache
from dlbd_estimators.engine.cache import BlockCache
from dlbd_estimators.kernels.kernel import Block


def block(rows=10):
    return Block(np.zeros((rows, 9)), np.zeros(rows))


NBYTES = block().nbytes


def test_a_block_comes_back_as_it_was_put():
    kept, put = BlockCache(), block()
    kept.put("fit", 3, put, 10 * NBYTES)
    assert kept.get("fit", 3) is put
    assert kept.get("fit", 4) is None
    assert kept.get("other fit", 3) is None


def test_the_budget_holds_and_the_first_blocks_stay():
    kept = BlockCache()
    for _ in range(3):  # passes
        for index in range(10):
            if kept.get("fit", index) is None:
                kept.put("fit", index, block(), 4 * NBYTES + 1)
    assert [index for index in range(10) if kept.get("fit", index) is not None] == [0, 1, 2, 3]


def test_a_smaller_block_may_still_fit():
    kept = BlockCache()
    kept.put("fit", 0, block(), 2 * NBYTES - 1)
    kept.put("fit", 1, block(), 2 * NBYTES - 1)
    kept.put("fit", 2, block(5), 2 * NBYTES - 1)
    assert kept.get("fit", 1) is None
    assert kept.get("fit", 2) is not None


def test_fits_share_the_budget():
    kept = BlockCache()
    kept.put("one", 0, block(), 2 * NBYTES)
    kept.put("two", 0, block(), 2 * NBYTES)
    kept.put("two", 1, block(), 2 * NBYTES)
    assert kept.get("two", 1) is None
    kept.drop("one")
    kept.put("two", 1, block(), 2 * NBYTES)
    assert kept.get("one", 0) is None
    assert kept.get("two", 1) is not None


def test_what_a_task_brings_after_its_fit_ended_is_not_kept(monkeypatch):
    monkeypatch.setattr(cache, "_MAX_ENDED", 2)
    kept = BlockCache()
    for fit in ("one", "two", "three"):
        kept.drop(fit)
        kept.put(fit, 0, block(), 10 * NBYTES)
        assert kept.get(fit, 0) is None
    kept.put("one", 0, block(), 10 * NBYTES)  # too long ago to be remembered
    assert kept.get("one", 0) is not None


def test_weights_count():
    heavy = Block(np.zeros((10, 9)), np.zeros(10), np.zeros(10))
    kept = BlockCache()
    kept.put("fit", 0, heavy, heavy.nbytes - 1)
    assert kept.get("fit", 0) is None
    kept.put("fit", 0, heavy, heavy.nbytes)
    assert kept.get("fit", 0) is heavy


class Weighed(Block):
    """Counts how often it is asked for its size."""

    times = 0

    @property
    def nbytes(self):
        Weighed.times += 1
        return super().nbytes


def test_what_is_kept_is_not_weighed_again():
    kept = BlockCache()
    for index in range(1000):
        kept.put("fit", index, Weighed(np.zeros((1, 1)), np.zeros(1)), 16 * 900)
    assert kept.get("fit", 899) is not None
    assert kept.get("fit", 900) is None
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
    kept, model, used = BlockCache(), {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.time, "monotonic", lambda: now)
        for number, (kind, *step) in enumerate(steps):
            if kind == "wait":
                now += step[0]
            elif kind == "drop":
                kept.drop(f"{step[0]}")
                patch.setattr(kept, "_ended", {})  # so that it may begin again
                model.pop(step[0], None)
            else:
                fit, index, rows = step
                mine = Block(np.full((rows, 2), number), np.zeros(rows))
                kept.put(f"{fit}", index, mine, budget)
                if _total(model) + mine.nbytes > budget:
                    model = {f: b for f, b in model.items() if now - used[f] <= 120.0}
                if _total(model) + mine.nbytes <= budget:
                    model.setdefault(fit, {})[index] = mine
                    used[fit] = now
        for fit in range(4):
            for index in range(6):
                assert kept.get(f"{fit}", index) is model.get(fit, {}).get(index)


def test_idle_fits_give_way_and_busy_ones_do_not(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(cache.time, "monotonic", lambda: now)
    kept = BlockCache()
    kept.put("idle", 0, block(), 2 * NBYTES)
    kept.put("busy", 0, block(), 2 * NBYTES)
    now += cache._IDLE_SECONDS - 1
    assert kept.get("busy", 0) is not None
    kept.put("new", 0, block(), 2 * NBYTES)
    assert kept.get("new", 0) is None
    now += 2
    kept.put("new", 0, block(), 2 * NBYTES)
    assert kept.get("idle", 0) is None
    assert kept.get("busy", 0) is not None
    assert kept.get("new", 0) is not None


@pytest.mark.parametrize("part", ["X", "y", "weight"])
def test_a_view_of_something_larger_is_not_kept(part):
    arrays = {"X": np.zeros((10, 9)), "y": np.zeros(10), "weight": np.zeros(10)}
    arrays[part] = np.zeros((1000, *arrays[part].shape[1:]))[:10]
    kept = BlockCache()
    kept.put("fit", 0, Block(**arrays), 10**9)
    assert kept.get("fit", 0) is None
    arrays[part] = np.zeros(arrays[part].size).reshape(arrays[part].shape)  # a view of its own
    kept.put("fit", 0, Block(**arrays), 10**9)
    assert kept.get("fit", 0) is not None


def test_threads_never_exceed_the_budget():
    kept = BlockCache()

    def work(fit):
        for index in range(200):
            kept.put(fit, index, block(), 50 * NBYTES)
            kept.get(fit, index)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = sum(kept.get(str(i), j) is not None for i in range(4) for j in range(200))
    assert count == 50
