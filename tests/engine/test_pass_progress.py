"""Passes tell how many of their blocks are done."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

from dlbd_estimators.engine.pass_progress import (
    PassCounter,
    counted,
    current_pass,
    listening_to_passes,
)
from dlbd_estimators.metrics import r2_score

N_BLOCKS = 40
Y = da.from_array(np.arange(400.0), chunks=400 // N_BLOCKS)


def told(work):
    """Return what a listener is told during some work."""
    calls = []
    with listening_to_passes(lambda *call: calls.append(call)):
        work()
    return calls


def check(calls):
    names, done, totals = zip(*calls, strict=True)
    assert set(totals) == {N_BLOCKS}
    assert len(set(names)) == 1
    assert done[0] == 0
    assert done[-1] == N_BLOCKS
    assert list(done) == sorted(set(done))  # it only grows


def score():
    assert r2_score(Y, Y + 1) < 1


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_block_counts_on_threads(n_threads):
    with dask.config.set(num_workers=n_threads):
        calls = told(score)
    check(calls)
    assert [done for _, done, _ in calls] == list(range(N_BLOCKS + 1))


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_a_cluster_tells_the_same(monkeypatch):
    monkeypatch.setattr("dlbd_estimators.engine.pass_progress._INTERVAL", 0.0)
    calls = told(score)
    check(calls)
    assert len(calls) > 2


def test_each_pass_begins_again():
    calls = told(lambda: (score(), score()))
    half = len(calls) // 2
    check(calls[:half])
    check(calls[half:])


def test_nobody_is_told_after_the_context():
    calls = told(score)
    n_calls = len(calls)
    score()
    assert len(calls) == n_calls


def test_a_listener_that_fails_ends_no_pass(caplog):
    calls = []

    def broken(*call):
        calls.append(call)
        raise OSError("the terminal is gone")

    with listening_to_passes(broken):
        score()
    assert len(calls) == 1
    assert "the terminal is gone" in caplog.text


def test_a_pass_that_fails_is_not_told_to_be_done():
    bad = Y.map_blocks(lambda block: np.where(block == 395, np.nan, block), dtype=float)
    calls = []
    listening = listening_to_passes(lambda *call: calls.append(call))
    with listening, pytest.raises(ValueError, match="NaN"):
        r2_score(Y, bad)
    assert 0 <= calls[-1][1] < N_BLOCKS


def test_tasks_that_run_again_do_not_decrease_the_number(monkeypatch):
    monkeypatch.setattr("dlbd_estimators.engine.pass_progress._INTERVAL", 0.0)
    calls = []
    counter = PassCounter("score", 8, lambda *call: calls.append(call[1]))
    counter.begin()
    for done in ([(0, 2)], [(0, 2), (4, 6)], [(0, 2)], [(0, 4), (4, 6)]):
        counter.look(done, [])
    counter.end()
    counter.end()
    assert calls == [0, 2, 4, 6, 8]


def test_nothing_is_counted_unless_somebody_listens():
    before = current_pass()
    with counted("pass", 3):
        assert current_pass() is before
        assert not current_pass().listens
    with listening_to_passes(lambda *_: None), counted("pass", 3):
        assert current_pass().listens
    assert current_pass() is before
