"""Where the time of a step went: parts that add up, whatever executors count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine.cost import Cost, TotalCost
from dlbd_estimators.monitoring.phases import PHASES, loading_rate, phases

SECONDS = st.floats(0.0, 1e6)
SHARES = st.floats(0.0, 1.0)


@st.composite
def spendings(draw):
    """What an executor may have spent in a step, and the seconds of the step."""
    wall = draw(SECONDS)
    joined = wall * draw(SHARES)
    thread_seconds_available = (wall - joined) * draw(st.integers(1, 64))
    # Threads cannot work longer than they were offered, but for what clocks differ by.
    busy = thread_seconds_available * draw(st.floats(0.0, 1.01))
    loaded = draw(SECONDS)
    cost = Cost(
        n_tasks=draw(st.integers(0, 100)),
        bytes_read=draw(st.integers(0, 10**12)),
        seconds=busy,
        waited=busy * draw(st.floats(0.0, 1.01)),
        loaded=loaded,
        decoded=loaded * draw(st.floats(0.0, 1.01)),
    )
    return TotalCost(cost, wall, joined, thread_seconds_available), wall + draw(SECONDS)


@given(spendings())
def test_parts_are_not_negative_and_add_up_to_the_step(spending):
    spent, seconds = spending
    parts = phases(spent, seconds)
    assert tuple(parts) == PHASES
    assert all(part >= 0.0 for part in parts.values())
    assert sum(parts.values()) == pytest.approx(seconds, rel=1e-9, abs=1e-300)


@given(spendings(), spendings())
def test_parts_of_a_later_step_are_no_worse(before, step):
    """What was spent in a step is a difference of sums, whose last digits are lost."""
    spent = (before[0] + step[0]) - before[0]
    parts = phases(spent, step[1])
    assert all(part >= 0.0 for part in parts.values())
    lost = 1e-12 * (before[0].wall + step[1])
    assert sum(parts.values()) == pytest.approx(step[1], rel=1e-9, abs=lost)


def test_each_second_is_where_it_belongs():
    # Four threads for 10 s; half of their time they worked, of that a quarter they stood still,
    # while a third of what was loaded was decoding.
    cost = Cost(seconds=20.0, waited=5.0, loaded=9.0, decoded=3.0, bytes_read=18)
    parts = phases(TotalCost(cost, wall=11.0, joined=1.0, thread_seconds_available=40.0), 12.0)
    assert parts == pytest.approx(
        {"read": 5 / 6, "decode": 5 / 12, "compute": 3.75, "reduce": 1.0, "wait": 6.0}
    )


@pytest.mark.parametrize("seconds", [0.0, 2.5])
def test_a_step_without_tasks_waits(seconds):
    assert phases(TotalCost(), seconds) == {**dict.fromkeys(PHASES, 0.0), "wait": seconds}


@given(st.integers(1, 10**12), st.floats(1e-6, 1e6), st.integers(1, 64))
def test_all_threads_load_as_many_times_what_one_does(nbytes, loaded, n_threads):
    spent = TotalCost(Cost(bytes_read=nbytes, loaded=loaded))
    rate = loading_rate(spent, n_threads)
    assert rate == pytest.approx(n_threads * loading_rate(spent, 1))
    assert rate * loaded == pytest.approx(nbytes * n_threads)


def test_where_nothing_was_loaded_there_is_no_rate():
    assert loading_rate(TotalCost(Cost(cache_hits=3)), 2) is None
