"""Threads in step: nobody runs ahead, and nobody waits for one that has failed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.lockstep import in_lockstep


class Failure(Exception):
    pass


@given(st.integers(1, 4))
def test_every_part_is_done_once(n_threads):
    done = []
    in_lockstep(n_threads, lambda thread, n, _: done.append((thread, n)))
    assert sorted(done) == [(thread, n_threads) for thread in range(n_threads)]


def test_the_caller_is_the_first_thread():
    names = {}

    def work(thread, _, __):
        names[thread] = threading.current_thread()

    in_lockstep(3, work)
    assert names[0] is threading.current_thread()
    assert len(set(names.values())) == 3


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 3))
def test_nobody_goes_on_before_all_have_come(n_threads, n_rounds, tardy):
    arrived = [0] * n_rounds  # adding to one item is not atomic: hence the lock
    lock = threading.Lock()
    seen = []

    def work(thread, _, wait):
        for i in range(n_rounds):
            if thread == tardy:
                time.sleep(1e-4)
            with lock:
                arrived[i] += 1
            wait()
            seen.append((arrived[i], sum(arrived[i + 1 :])))
            wait()

    in_lockstep(n_threads, work)
    assert seen == [(n_threads, 0)] * (n_threads * n_rounds)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("error", [Failure("no"), KeyboardInterrupt()])
@pytest.mark.parametrize(("n_threads", "failing"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
@pytest.mark.parametrize("when", [0, 3])
def test_an_error_ends_all_and_is_raised_in_the_caller(n_threads, failing, when, error):
    before = threading.active_count()
    rounds = [0] * n_threads

    def work(thread, _, wait):
        for i in range(1000):
            if thread == failing and i == when:
                raise error
            wait()
            rounds[thread] += 1

    with pytest.raises(type(error)) as caught:
        in_lockstep(n_threads, work)
    assert caught.value is error
    assert max(rounds) <= when
    assert threading.active_count() == before


@pytest.mark.timeout(20)
def test_an_error_of_every_thread_is_one_error():
    def work(thread, _, wait):
        wait()
        raise Failure(str(thread))

    with pytest.raises(Failure):
        in_lockstep(3, work)


@given(st.integers(1, 3))
def test_no_thread_warns_of_numbers_that_overflow(n_threads):
    """Warnings are errors here: training that diverges is told by its numbers."""
    results = [None] * n_threads
    before = np.geterr()

    def work(thread, _, __):
        results[thread] = np.exp(np.array([1e4])) - np.exp(np.array([1e4]))

    in_lockstep(n_threads, work)
    assert np.isnan(results).all()
    assert np.geterr() == before
