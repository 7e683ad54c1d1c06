"""Decoding takes time, and each thread's is counted."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import storage
from storage import clock
from storage.clock import decoding, decoding_timed

STEPS = np.repeat(np.arange(2_000.0), 4).reshape(2_000, 4)
# Whole chunks: the last one of others is padded, and that compresses.
NOISE = np.random.default_rng(0).random((2_048, 4))


@pytest.fixture
def ticks(monkeypatch):
    """A clock that is put forward by hand."""
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    return now


def seconds_of(work):
    """Seconds that are counted while a function runs in this thread."""
    before = decoding.seconds
    work()
    return decoding.seconds - before


def stored(folder, X):
    return storage.create_dataset(folder / "d", X, X[:, 0], chunk_nbytes=2**13)


def test_what_is_surrounded_is_counted(ticks):
    def twice():
        for took in (1.5, 2.0):
            with decoding_timed():
                ticks[0] += took
            ticks[0] += 100.0

    assert seconds_of(twice) == 3.5


def test_what_fails_is_counted_too(ticks):
    @decoding_timed()
    def fail():
        ticks[0] += 2.0
        raise OSError("broken")

    def caught():
        with pytest.raises(OSError, match="broken"):
            fail()

    assert seconds_of(caught) == 2.0


def test_each_thread_has_its_own(ticks):
    found = []

    def other():
        found.append(decoding.seconds)
        with decoding_timed():
            ticks[0] += 3.0
        found.append(decoding.seconds)

    def run():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert seconds_of(run) == 0.0
    assert found == [0.0, 3.0]


def test_seconds_grow_whenever_a_data_set_is_read(tmp_path):
    data = stored(tmp_path, STEPS)
    for _ in range(2):
        took = seconds_of(lambda: data.X.compute(scheduler="synchronous"))
        assert took > 0.0


def test_a_lazy_array_that_is_not_read_decodes_nothing(tmp_path):
    data = stored(tmp_path, STEPS)
    assert seconds_of(data.X[:100].sum) == 0.0


def test_chunks_that_are_stored_as_they_are_need_no_decoding(tmp_path):
    data, found = stored(tmp_path, NOISE), []
    took = seconds_of(lambda: found.append(data.X.compute(scheduler="synchronous")))
    assert took == 0.0
    np.testing.assert_array_equal(found[0], NOISE)
