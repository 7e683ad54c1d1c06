"""How much longer a fit takes: right where errors fall evenly, and never out of bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.monitoring.remaining import Remaining

ERRORS = st.none() | st.floats(0.0, 1e308) | st.sampled_from([0.0, 5e-324, 1e-300, 1e308])


def started(max_steps=100, tol=1e-6):
    return {"event": "fit_started", "max_steps": max_steps, "tol": tol}


def step(iteration, error=None, seconds=1.0):
    return {"event": "step", "iteration": iteration, "error": error, "step_seconds": seconds}


def guess(*events):
    remaining = Remaining()
    for event in events:
        remaining.add(event)
    return remaining


def test_before_the_first_step_nothing_is_known():
    for remaining in (guess(), guess(started())):
        assert remaining.steps is remaining.seconds is None


@given(
    factor=st.floats(0.01, 0.95),
    first=st.floats(1e-3, 1e3),
    n_steps=st.integers(2, 30),
    needed=st.floats(0.5, 40.0),
    seconds=st.floats(1e-6, 1e4),
)
def test_errors_that_fall_evenly_are_foreseen(factor, first, n_steps, needed, seconds):
    errors = [first * factor**number for number in range(n_steps)]
    tol = errors[-1] * factor**needed
    events = [step(number, error, seconds) for number, error in enumerate(errors, 1)]
    remaining = guess(started(1000, tol), *events)
    assert remaining.steps == pytest.approx(needed, rel=1e-6)
    assert remaining.seconds == pytest.approx(needed * seconds, rel=1e-6)
    assert not remaining.at_most


@given(
    st.lists(st.tuples(ERRORS, st.floats(0.0, 1e6)), min_size=1, max_size=12),
    st.integers(1, 12),
    st.sampled_from([0.0, 5e-324, 1e-320, 1e-6, 1.0]),
)
def test_a_guess_is_between_nothing_and_what_max_iter_leaves(steps, max_steps, tol):
    remaining = guess(started(max_steps, tol))
    for number, (error, seconds) in enumerate(steps, 1):
        remaining.add(step(number, error, seconds))
        left = max(max_steps - number, 0)
        assert 0.0 <= remaining.steps <= left
        assert 0.0 <= remaining.seconds <= left * max(each for _, each in steps)
        if remaining.at_most:
            assert remaining.steps == left
        if error is not None and error <= tol:
            assert remaining.steps == 0.0


@pytest.mark.parametrize(
    "errors",
    [[None, None], [1.0], [1.0, 1.0], [0.1, 1.0], [0.0, 1.0], [1.0, math.nextafter(1.0, 0.0)]],
)
def test_errors_that_do_not_fall_leave_what_max_iter_allows(errors):
    remaining = guess(started(10), *(step(n, error, 2.0) for n, error in enumerate(errors, 1)))
    assert (remaining.steps, remaining.at_most) == (10 - len(errors), True)
    assert remaining.seconds == 2.0 * (10 - len(errors))


def test_a_guess_looks_back_on_the_last_steps_alone():
    slow = [step(n, 1.0, 100.0) for n in range(1, 20)]
    fast = [step(19 + n, 10.0**-n, 1.0) for n in range(7)]
    remaining = guess(started(1000, 1e-8), *slow, *fast)
    assert remaining.steps == pytest.approx(2.0)
    assert remaining.seconds == pytest.approx(2.0)


def test_a_single_slow_step_does_not_count():
    times = [1.0, 1.0, 60.0, 1.0, 1.0]
    remaining = guess(started(15), *(step(n, None, each) for n, each in enumerate(times, 1)))
    assert remaining.seconds == 10.0


def test_steps_after_a_warm_start_are_counted_anew():
    assert guess(started(10), step(11), step(12)).steps == 8


def test_what_is_over_takes_no_longer():
    remaining = guess(started(), step(1), {"event": "fit_ended"})
    assert (remaining.steps, remaining.seconds) == (0.0, 0.0)


def test_any_error_is_small_enough_for_an_infinite_tol():
    assert guess(started(10, None), step(1, 1e9)).steps == 0.0
