"""A test that hangs inside Hypothesis ends at its own limit, the first time."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.time_limit import Alarm, OutOfTime


def fail(*_):
    pytest.fail("Timeout (>1.0s) from pytest-timeout.")


def test_hypothesis_does_not_run_a_test_again_that_is_out_of_time():
    alarm, runs = Alarm(fail), []

    @given(st.integers())
    def hangs(number):
        runs.append(number)
        alarm(signal.SIGALRM, None)

    with pytest.raises(OutOfTime, match=r"Timeout \(>1.0s\)"):
        hangs()
    assert len(runs) == 1


@pytest.mark.timeout(300, method="signal")
def test_this_alarm_is_set():
    assert isinstance(signal.getsignal(signal.SIGALRM), Alarm)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
