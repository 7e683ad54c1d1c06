"""What work took adds up, and is divided into parts that add up again."""

from __future__ import annotations

import sys
from dataclasses import fields
from types import ModuleType, SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from dlbd_estimators import Ridge
from dlbd_estimators.engine.cost import Cost, TotalCost, decoding_seconds, total
from dlbd_estimators.engine.threads import ThreadExecutor

SECONDS = st.floats(0.0, 1e9)
COUNTS = st.integers(0, 10**12)
COSTS = st.builds(
    Cost,
    **{f.name: COUNTS if f.type == "int" else SECONDS for f in fields(Cost)},
)
SPENT = st.builds(TotalCost, COSTS, SECONDS, SECONDS, SECONDS)


def numbers(cost):
    return [getattr(cost, f.name) for f in fields(cost) if f.name != "cost"]


@given(COSTS, COSTS)
def test_costs_add_up_field_by_field(a, b):
    assert numbers(a + b) == [x + y for x, y in zip(numbers(a), numbers(b), strict=True)]
    assert a + b == b + a
    assert a + Cost() == a
    assert a - Cost() == a
    assert a - a == Cost()


@given(st.lists(COSTS, min_size=1, max_size=4))
def test_the_cost_of_several_tasks_is_their_sum(costs):
    first, *others = costs
    assert numbers(total(*costs)) == pytest.approx(numbers(sum(others, first)), rel=1e-12)
    assert total(first) == first


@given(SPENT, SPENT)
def test_what_is_spent_between_two_times_is_the_difference(before, step):
    after = before + step
    assert after.cost == before.cost + step.cost
    found = after - before
    assert numbers(found) == pytest.approx(numbers(step), rel=1e-9, abs=1e-6)
    assert numbers(found.cost) == pytest.approx(numbers(step.cost), rel=1e-9, abs=1e-6)
    assert min([*numbers(found), *numbers(found.cost)]) >= 0


@given(COSTS)
def test_phases_are_the_seconds_of_the_threads(cost):
    parts = cost.phases()
    assert set(parts) == {"read", "decode", "compute"}
    assert all(part >= 0.0 for part in parts.values())
    assert sum(parts.values()) == pytest.approx(cost.seconds)


@given(COSTS)
def test_threads_that_never_stood_still_computed(cost):
    without = Cost(seconds=cost.seconds, loaded=cost.loaded, decoded=cost.decoded)
    assert without.phases() == {"read": 0.0, "decode": 0.0, "compute": cost.seconds}


def test_without_a_store_that_counts_nothing_was_decoded(monkeypatch):
    monkeypatch.delitem(sys.modules, "storage.clock")
    assert decoding_seconds() == 0.0


def test_a_store_that_another_thread_is_importing_has_decoded_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "storage.clock", ModuleType("storage.clock"))
    assert decoding_seconds() == 0.0


def test_a_store_that_counts_is_asked(monkeypatch):
    clock = SimpleNamespace(decoding=SimpleNamespace(seconds=1.5))
    monkeypatch.setitem(sys.modules, "storage.clock", clock)
    assert decoding_seconds() == 1.5


class Watched(ThreadExecutor):
    """Keeps the last executor that was made, which a fit does not hand out."""

    last = None

    def __init__(self, *args):
        super().__init__(*args)
        Watched.last = self


def spent_on(X, y, monkeypatch):
    monkeypatch.setattr("dlbd_estimators.engine.select.ThreadExecutor", Watched)
    Ridge().fit(X, y)
    return Watched.last.spent


def test_what_a_fit_spends_on_decoding_is_part_of_loading(tmp_path, monkeypatch):
    steps = np.repeat(np.arange(4_000.0), 8).reshape(4_000, 8) + np.arange(8.0) ** 2
    data = storage.create_dataset(
        tmp_path / "d", steps, np.sin(steps[:, 0]), chunk_nbytes=2**14, block_nbytes=2**15
    )
    spent = spent_on(data.X, data.y, monkeypatch)
    cost = spent.cost
    assert cost.n_blocks >= 8
    assert 0.0 < cost.decoded < cost.loaded
    assert cost.waited < cost.seconds <= spent.thread_seconds_available
    assert 0.0 < spent.joined < spent.wall
    assert cost.phases()["decode"] > 0.0


def test_what_no_store_counts_is_reading(monkeypatch):
    X = da.random.default_rng(0).normal(size=(1_000, 3), chunks=(200, 3))
    cost = spent_on(X, X[:, 0], monkeypatch).cost
    assert (cost.decoded, cost.phases()["decode"]) == (0.0, 0.0)
    assert cost.loaded > 0.0
    assert cost.phases()["read"] > 0.0
