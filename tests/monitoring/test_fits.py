"""The record of fits that a scheduler keeps."""

from __future__ import annotations

import pytest

from dlbd_estimators.monitoring.fits import MAX_FITS, MAX_POINTS, FitLog
from dlbd_estimators.monitoring.phases import PHASES


def started(fit="a", estimator="Ridge", time=0.0, **facts):
    return {
        "event": "fit_started", "fit": fit, "estimator": estimator, "time": time,
        "max_steps": 100, "tol": 1e-4, "n_rows": 10, "n_features": 2, **facts,
    }  # fmt: skip


def step(number, fit="a", **facts):
    return {
        "event": "step", "fit": fit, "time": float(number), "iteration": number,
        "pass": float(number), "loss": 1.0 / number, "gradient_norm": None, "error": None,
        "step_seconds": 0.5, "step_bytes": 100, "cache_hits": 3, "n_blocks": 4, "n_workers": 2,
        "decode_rate": 1e9, "phases": dict.fromkeys(PHASES, 0.1), **facts,
    }  # fmt: skip


def ended(fit="a", status="converged", error=None, time=9.0):
    return {"event": "fit_ended", "fit": fit, "status": status, "error": error, "time": time}


def log_of(*events, client="c"):
    log = FitLog()
    for event in events:
        log.add(event, client)
    return log


def only(log):
    ((_, fit),) = log
    return fit


def test_a_fit_is_what_its_events_tell():
    log = log_of(started(), step(1), step(2, decode_rate=None), ended())
    fit = only(log)
    assert (fit.name, fit.state, fit.message, fit.running) == ("Ridge 1", "converged", "", False)
    assert (fit.n_steps, fit.seconds, fit.bytes_read) == (2, 9.0, 200)
    assert fit.columns["loss"] == [1.0, 0.5]
    assert fit.columns["throughput"] == [200.0, 200.0]
    assert fit.columns["cached"] == [0.75, 0.75]
    assert fit.columns["decode_rate"] == [1e9, None]
    assert fit.columns["compute"] == [0.1, 0.1]
    assert {len(values) for values in fit.columns.values()} == {2}
    assert (log.n_steps, log.bytes_read, log.version) == (2, 200, 4)


def test_an_error_is_told_rather_than_a_warning():
    warned = {"event": "warning", "fit": "a", "time": 1.0, "message": "slow"}
    assert only(log_of(started(), warned, ended())).message == "slow"
    fit = only(log_of(started(), warned, ended(status="failed", error="ValueError: NaN")))
    assert (fit.state, fit.message) == ("failed", "ValueError: NaN")


def test_fits_are_numbered_and_the_newest_comes_first():
    log = log_of(started("a"), started("b", "Lasso"), started("c"), step(1, "b"))
    assert [fit.name for _, fit in log] == ["Ridge 2", "Lasso 1", "Ridge 1"]
    assert [fit.number for _, fit in log] == [2, 1, 0]


def test_a_fit_whose_begin_nobody_heard_is_on_record_from_then_on():
    fit = only(log_of(step(7), ended()))
    assert (fit.name, fit.n_steps, fit.state, fit.facts) == ("fit 1", 1, "converged", {})


def test_a_step_of_no_blocks_in_no_time_has_no_rates():
    fit = only(log_of(started(), step(1, n_blocks=0, step_seconds=0.0, cache_hits=0)))
    assert fit.last("throughput") is None
    assert fit.last("cached") is None


def test_curves_stay_short_and_keep_their_ends():
    log = log_of(started(), *(step(number) for number in range(1, 10 * MAX_POINTS)))
    fit = only(log)
    passes = fit.columns["pass"]
    assert MAX_POINTS // 2 <= len(passes) <= MAX_POINTS
    assert passes == sorted(set(passes))
    assert (passes[0], passes[-1], fit.n_steps) == (1, 10 * MAX_POINTS - 1, 10 * MAX_POINTS - 1)
    assert {len(values) for values in fit.columns.values()} == {len(passes)}


def test_old_fits_are_forgotten_when_they_are_over():
    log = log_of(started("first"))
    for number in range(MAX_FITS + 5):
        log.add(started(str(number)), "c")
        log.add(ended(str(number)), "c")
    kept = [key for key, _ in log]
    assert len(kept) == MAX_FITS
    assert kept[0] == str(MAX_FITS + 4)
    assert kept[-1] == "first"  # it runs


def test_fits_are_lost_with_their_client():
    log = log_of(started("a"), ended("a"), started("b"))
    log.add(started("c"), "another")
    version = log.version
    log.mark_lost("c")
    assert {key: fit.state for key, fit in log} == {"a": "converged", "b": "lost", "c": "running"}
    assert log.version > version
    assert "client" in dict(log)["b"].message


@pytest.mark.parametrize("event", [{}, {"event": "step"}, {"event": "step", "fit": "a"}])
def test_what_is_no_event_raises_and_changes_nothing_that_is_there(event):
    log = log_of(started("z"))
    with pytest.raises(KeyError):
        log.add(event, "c")
    assert next(iter(dict(log).values())).running
