"""The stream of events of a fit: every field of every kind, and that no listener breaks a fit."""

from __future__ import annotations

import json
import logging
import math
import threading
import time

import dask
import dask.array as da
import msgpack
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.monitoring import listening
from dlbd_estimators.monitoring.events import FitEvents
from dlbd_estimators.monitoring.phases import PHASES

BOTH = {"event", "fit", "number", "time"}
STARTED = BOTH | {
    "estimator", "parameters", "step", "max_steps", "tol", "n_rows", "n_features", "n_blocks",
    "n_workers", "n_threads", "part",
}  # fmt: skip
ENTRY = {
    "iteration", "pass", "loss", "gradient_norm", "error", "error_is", "step", "seconds",
    "bytes_read",
}  # fmt: skip
STEP = BOTH | {
    "step_seconds", "step_bytes", "cache_hits", "n_blocks", "n_tasks", "n_workers", "n_threads",
    "phases", "decode_rate",
}  # fmt: skip
WARNING = BOTH | {"message"}
ENDED = BOTH | {"status", "error", "n_steps", "seconds"}

N_ROWS, N_FEATURES, N_BLOCKS = 600, 4, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, N_FEATURES))
Y = (X[:, 0] + RNG.normal(size=N_ROWS) > 0).astype(int)


def lazy(array):
    return da.from_array(array, chunks=(N_ROWS // N_BLOCKS, *array.shape[1:]))


def heard(fit):
    """Call a function; return the events meanwhile."""
    events = []
    with listening(events.append):
        fit()
    return events


def kinds(events):
    return [event["event"] for event in events]


@pytest.fixture(scope="module", params=["dask", "numpy"])
def fitted(request):
    """A model, its events, and when they were heard, from and to."""
    model = LogisticRegression(C=0.5, tol=1e-6, max_iter=50)
    data = lazy(X) if request.param == "dask" else X
    began = time.time()
    events = heard(lambda: model.fit(data, Y))
    return model, events, (began, time.time()), request.param == "dask"


def test_a_fit_starts_makes_steps_and_ends(fitted):
    model, events, (began, ended), _ = fitted
    assert kinds(events) == ["fit_started", *["step"] * len(model.history_), "fit_ended"]
    assert [event["number"] for event in events] == list(range(len(events)))
    assert len({event["fit"] for event in events}) == 1
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert began <= times[0]
    assert times[-1] <= ended


def test_what_is_told_of_the_start(fitted):
    model, (started, *_), _, on_dask = fitted
    assert set(started) == STARTED
    assert started["estimator"] == "LogisticRegression"
    assert started["parameters"] == {
        name: repr(value) for name, value in model.get_params().items()
    }
    assert started["parameters"]["C"] == "0.5"
    assert (started["step"], started["max_steps"], started["tol"]) == ("iteration", 50, 1e-6)
    assert (started["n_rows"], started["n_features"]) == (N_ROWS, N_FEATURES)
    assert started["n_blocks"] == N_BLOCKS if on_dask else started["n_blocks"] >= 1
    assert started["n_workers"] == 0
    assert started["n_threads"] >= 1


def test_numbers_of_steps_are_those_of_the_history(fitted):
    model, (_, *steps, _), *_ = fitted
    assert set(model.history_[0]) == ENTRY
    for event, entry in zip(steps, model.history_, strict=True):
        assert set(event) == STEP | ENTRY
        told = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in entry.items()
        }
        assert {name: event[name] for name in ENTRY} == told


def test_what_is_told_of_steps_alone_adds_up(fitted):
    model, (started, *steps, ended), _, on_dask = fitted
    last = model.history_[-1]
    assert sum(step["step_bytes"] for step in steps) >= last["bytes_read"] > 0
    for step in steps:
        assert step["n_tasks"] >= 1
        assert step["n_blocks"] >= started["n_blocks"]
        assert 0 <= step["cache_hits"] <= step["n_blocks"]
        assert (step["n_workers"], step["n_threads"]) == (0, started["n_threads"])
        assert tuple(step["phases"]) == PHASES
        assert min(step["phases"].values()) >= 0.0
        assert sum(step["phases"].values()) == pytest.approx(step["step_seconds"])
        if on_dask:
            assert step["decode_rate"] is None if not step["step_bytes"] else step["decode_rate"]
    total = sum(step["step_seconds"] for step in steps)
    # From before the input was checked to the end of the last step.
    assert last["seconds"] <= total <= ended["seconds"]


def test_what_is_told_of_the_end(fitted):
    model, (*_, ended), *_ = fitted
    assert set(ended) == ENDED
    assert (ended["status"], ended["error"]) == ("converged", None)
    assert ended["n_steps"] == len(model.history_)


def test_events_are_json_and_msgpack(fitted):
    for event in fitted[1]:
        assert json.loads(json.dumps(event, allow_nan=False)) == event
        assert msgpack.unpackb(msgpack.packb(event)) == event


@pytest.mark.usefixtures("client")
def test_a_cluster_is_counted_in_workers():
    with dask.config.set({"dlbd-estimators.dashboard": False}):
        events = heard(lambda: LogisticRegression().fit(lazy(X), Y))
    last = events[-2]
    assert (last["n_workers"], last["n_threads"]) == (2, 2)
    assert set(last) == STEP | ENTRY
    assert last["n_blocks"] == N_BLOCKS
    assert last["phases"]["compute"] > 0.0


def test_what_is_found_in_the_cache_is_not_read_again():
    # What is in memory already is not kept a second time.
    computed = lazy(X).map_blocks(np.copy)
    *_, last, _ = heard(lambda: LogisticRegression(tol=1e-9).fit(computed, Y))
    assert last["cache_hits"] == last["n_blocks"] == N_BLOCKS
    assert (last["step_bytes"], last["decode_rate"]) == (0, None)


def test_rows_of_unknown_chunks_are_not_told():
    unknown = lazy(X)[da.from_array(np.ones(N_ROWS, bool), chunks=N_ROWS // N_BLOCKS)]
    y = lazy(Y)[da.from_array(np.ones(N_ROWS, bool), chunks=N_ROWS // N_BLOCKS)]
    started, *_ = heard(lambda: Ridge().fit(unknown, y))
    assert started["n_rows"] is None


class StopAt:
    """A callback of scikit-learn's that ends the fit, or breaks it, after some steps."""

    def __init__(self, step, error=None):
        self.step, self.error = step, error

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        if context.max_subtasks == 0 and context.task_id + 1 == self.step:
            if self.error is not None:
                raise self.error
            return True
        return False


def test_a_callback_ends_the_fit():
    model = LogisticRegression(solver="lbfgs", tol=1e-12).set_callbacks(StopAt(2))
    *_, ended = events = heard(lambda: model.fit(X, Y))
    assert (ended["status"], ended["error"], ended["n_steps"]) == ("stopped", None, 2)
    assert "warning" not in kinds(events)


def test_a_callback_at_the_step_that_converges_changes_nothing():
    model = Ridge().set_callbacks(StopAt(1))
    assert heard(lambda: model.fit(X, Y))[-1]["status"] == "converged"


def fit_too_short(model):
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, Y)
    return str(caught[0].message)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(solver="lbfgs", max_iter=2, tol=1e-12),
        MLPClassifier(max_iter=2, random_state=0),
        MLPClassifier(solver="lbfgs", max_iter=2, random_state=0),
    ],
    ids=["linear", "epochs", "passes"],
)
def test_a_fit_that_is_too_short_warns(model):
    messages = []
    events = heard(lambda: messages.append(fit_too_short(model)))
    assert kinds(events) == ["fit_started", "step", "step", "warning", "fit_ended"]
    assert set(events[-2]) == WARNING
    assert events[-2]["message"] == messages[0]
    assert (events[-1]["status"], events[-1]["n_steps"]) == ("max_iter", 2)


def test_partial_fit_is_done_after_its_step():
    model = MLPClassifier(random_state=0)
    for number in (1, 2):
        started, step, ended = heard(lambda: model.partial_fit(X, Y, classes=[0, 1]))
        assert (started["max_steps"], started["step"]) == (1, "epoch")
        assert step["loss"] == model.loss_curve_[-1]
        assert step["iteration"] == number
        assert (ended["status"], ended["n_steps"]) == ("done", 1)


def test_a_fit_that_fails_tells_its_error():
    holes = X.copy()
    holes[-1, 0] = np.nan
    events = []
    with listening(events.append), pytest.raises(ValueError, match="NaN") as raised:
        Ridge().fit(lazy(holes), Y)
    assert kinds(events) == ["fit_started", "fit_ended"]
    assert events[-1]["status"] == "failed"
    assert events[-1]["error"] == f"{type(raised.value).__name__}: {raised.value}"
    assert events[-1]["n_steps"] == 0


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt("ctrl-c")])
def test_an_error_of_a_callback_is_the_error_of_the_fit(error):
    events = []
    model = LogisticRegression(solver="lbfgs").set_callbacks(StopAt(1, error))
    with listening(events.append), pytest.raises(type(error)):
        model.fit(X, Y)
    assert (events[-1]["status"], events[-1]["n_steps"]) == ("failed", 1)
    assert events[-1]["error"] == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "model",
    [
        Ridge(tol=-1.0),
        Ridge(alpha=-1.0),
        LogisticRegression(C=0.0),
        LogisticRegression(solver="gram"),
        MLPClassifier(max_iter=0),
    ],
    ids=str,
)
def test_a_fit_whose_parameters_are_refused_tells_nothing(model):
    events = []
    with listening(events.append), pytest.raises(ValueError, match=r"must|needs"):
        model.fit(X, Y)
    assert events == []


class Broken:
    """A listener that raises at the event of some number, and counts what it is told."""

    def __init__(self, number):
        self.number, self.n_events = number, 0

    def __call__(self, event):
        self.n_events += 1
        if event["number"] == self.number:
            raise RuntimeError("no room")

    def __repr__(self):
        return "<broken>"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_listener_that_raises_is_told_of_once_and_the_fit_goes_on(number, caplog):
    broken, events = Broken(number), []
    model = LogisticRegression(solver="lbfgs", tol=1e-6)
    with (
        caplog.at_level(logging.INFO, "dlbd_estimators"),
        listening(broken),
        listening(events.append),
    ):
        model.fit(X, Y)
        reference = LogisticRegression(solver="lbfgs", tol=1e-6).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, reference.coef_)
    assert kinds(events).count("fit_ended") == 2
    told = [record for record in caplog.records if "<broken>" in record.getMessage()]
    # Once a fit: another one may go better.
    assert [record.levelname for record in told] == ["WARNING"] * 2
    assert "no room" in str(told[0].exc_info[1])
    assert broken.n_events == 2 * (number + 1)


def test_an_interruption_from_a_listener_ends_the_fit():
    def interrupt(event):
        if event["event"] == "step":
            raise KeyboardInterrupt

    with listening(interrupt), pytest.raises(KeyboardInterrupt):
        Ridge().fit(X, Y)


def test_fits_of_two_threads_do_not_mix():
    events, models = [], [Ridge(), LogisticRegression(solver="lbfgs", tol=1e-6)]
    both = threading.Barrier(2)

    def fit(model):
        both.wait()
        model.fit(lazy(X), Y)

    threads = [threading.Thread(target=fit, args=(model,)) for model in models]
    with listening(events.append):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for model in models:
        (key,) = {e["fit"] for e in events if e.get("estimator") == type(model).__name__}
        mine = [event for event in events if event["fit"] == key]
        assert [event["number"] for event in mine] == list(range(len(mine)))
        assert [e["loss"] for e in mine if e["event"] == "step"] == [
            entry["loss"] for entry in model.history_
        ]
        assert mine[-1]["event"] == "fit_ended"
    assert len({event["fit"] for event in events}) == 2


def stream(**facts):
    """Return the events of a fit whose numbers are given."""
    events = []
    fit = FitEvents([events.append])
    known = {
        "estimator": "A", "parameters": dict, "step": "iteration", "max_steps": 1, "tol": 0.0,
        "n_rows": 1, "n_features": 1, "n_blocks": 1,
    }  # fmt: skip
    with ThreadExecutor() as executor:
        fit.start(executor, **{**known, **facts})
        fit.step(
            lambda: {
                "iteration": 1,
                "loss": math.inf,
                "error": math.nan,
                "bytes_read": np.int64(3),
            }
        )
        fit.end("converged")
    return events


def test_what_is_not_finite_is_none_and_numpy_is_python():
    started, step, _ = stream(tol=-math.inf, n_rows=np.int32(7), max_steps=np.int64(9))
    assert (started["tol"], started["n_rows"], started["max_steps"]) == (None, 7, 9)
    assert type(started["n_rows"]) is type(step["bytes_read"]) is int
    assert (step["loss"], step["error"], step["bytes_read"]) == (None, None, 3)


def test_more_listeners_of_one_fit_hear_all_of_it():
    mine = []
    theirs = stream(listeners=[mine.append])
    assert mine == theirs
    assert kinds(mine) == ["fit_started", "step", "fit_ended"]


def test_no_event_is_prepared_without_a_listener():
    fit = FitEvents()
    with ThreadExecutor() as executor:
        fit.start(
            executor, estimator="A", parameters=pytest.fail, step="iteration", max_steps=1,
            tol=0.0, n_rows=1, n_features=1, n_blocks=1,
        )  # fmt: skip
        fit.step(pytest.fail)
    assert fit.started


def test_nothing_is_told_before_the_start():
    events = []
    fit = FitEvents([events.append])
    fit.step(lambda: {"iteration": 1})
    fit.warn("careful")
    fit.end("failed", ValueError("no"))
    assert events == []
    assert not fit.started
