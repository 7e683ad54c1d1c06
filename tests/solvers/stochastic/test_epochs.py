"""When training stops, and how long its steps are: rules held against themselves written out."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.kernels.updates import SGD
from dlbd_estimators.solvers.stochastic.epochs import Progress, Rules, train
from dlbd_estimators.solvers.stochastic.one_epoch import Course, Epoch, Training

N_ROWS = 10
# Few values, so that epochs are often just as good as the best, or better by just tol.
VALUES = st.integers(0, 8).map(lambda n: n / 8)


class Told(Course):
    """Epochs of which the losses are known before; parameters are the number of the epoch."""

    def __init__(self, losses, interrupted=None):
        self._losses = losses
        self._interrupted = interrupted
        self._parameters = np.zeros(1)

    def epoch(self, training):
        if training.n_epochs == self._interrupted:
            raise KeyboardInterrupt
        self._parameters += 1.0  # in place: who wants to keep them copies them
        trained = replace(
            training,
            parameters=self._parameters,
            n_epochs=training.n_epochs + 1,
            n_seen=training.n_seen + N_ROWS,
        )
        return trained, Epoch(self._losses[training.n_epochs], N_ROWS, 2, 100)


@st.composite
def rules(draw, endless=False):
    return Rules(
        max_epochs=None if endless else draw(st.integers(1, 30)),
        tol=draw(st.sampled_from([0.0, 0.125, 0.25])),
        patience=draw(st.sampled_from([1, 2, 5, np.inf])),
        schedule=draw(st.sampled_from(["constant", "invscaling", "adaptive"])),
        learning_rate=draw(st.sampled_from([1.0, 1e-5])),
        power_t=draw(st.sampled_from([0.0, 0.5])),
    )


def run(course, rules, progress, *, scores=None, training=None, **hooks):
    """Train; return what came of it, and the warnings."""
    if training is None:
        training = Training.begin(np.zeros(1), SGD(), 1, rules.learning_rate)
    told = None if scores is None else iter(scores)
    clock = itertools.count()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training, n_epochs = train(
            course,
            training,
            progress,
            rules,
            score=None if told is None else lambda _parameters: next(told),
            score_passes=0.5,
            clock=lambda: float(next(clock)),
            **hooks,
        )
    return training, n_epochs, [each.category for each in caught]


def by_hand(rules, losses, scores):
    """Epochs made, their learning rates, and whether they ended of themselves."""
    judged = losses if scores is None else [-score for score in scores]
    best, waited, rate, rates = np.inf, 0, rules.learning_rate, []
    for n, value in enumerate(judged[: rules.max_epochs], 1):
        rates.append(rate)
        # Losses must be better by more than tol, scores by tol at least.
        better = value <= best - rules.tol
        waited = 0 if better else waited + 1
        best = min(best, value)
        if rules.schedule == "invscaling":
            rate = rules.learning_rate / (N_ROWS * n + 1) ** rules.power_t
        if waited > rules.patience:
            if rules.schedule != "adaptive" or rate <= 1e-6:
                return n, rates, True
            rate, waited = rate / 5, 0
    return n, rates, False


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans(), st.data())
def test_training_stops_and_slows_down_as_the_rules_say(rules, losses, scored, data):
    scores = data.draw(st.lists(VALUES, min_size=30, max_size=30)) if scored else None
    progress = Progress()
    training, n_epochs, caught = run(Told(losses), rules, progress, scores=scores)
    expected, rates, ended = by_hand(rules, losses, scores)
    assert n_epochs == expected
    assert [entry["learning_rate"] for entry in progress.history] == pytest.approx(rates)
    assert caught == ([] if ended else [ConvergenceWarning])
    assert progress.losses == losses[:n_epochs]
    assert training.n_seen == N_ROWS * n_epochs
    if scored:
        seen = scores[:n_epochs]
        assert progress.scores == seen
        assert progress.best_score == max(seen)
        assert progress.best_parameters == 1 + seen.index(max(seen))
    else:
        assert progress.scores == []
        assert progress.best_loss == min(losses[:n_epochs])
        assert progress.best_parameters is None


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans())
def test_history_has_an_entry_an_epoch(rules, values, scored):
    progress = Progress()
    _, n_epochs, _ = run(Told(values), rules, progress, scores=values if scored else None)
    assert progress.history == [
        {
            "iteration": n,
            "pass": n * (1.5 if scored else 1.0),
            "loss": values[n - 1],
            "learning_rate": progress.history[n - 1]["learning_rate"],
            "rounds": 2,
            "seconds": n - 1.0,
            "bytes_read": 100 * n,
        }
        | ({"validation_score": values[n - 1]} if scored else {})
        for n in range(1, n_epochs + 1)
    ]
    assert progress.n_passes == progress.history[-1]["pass"]


@given(rules(endless=True), st.lists(VALUES, min_size=12, max_size=12))
def test_epochs_one_by_one_go_on_as_one_training_would(rules, losses):
    course, training, progress = Told(losses), None, Progress()
    for n in range(1, 13):
        before = progress.copy()
        training, n_epochs, caught = run(course, rules, progress, training=training)
        assert (n_epochs, training.n_epochs, caught) == (1, n, [])
        assert len(before.losses) == len(before.history) == n - 1
    endless = replace(rules, max_epochs=12, patience=np.inf)
    if rules.schedule != "adaptive":
        whole = Progress()
        run(Told(losses), endless, whole)
        rates, expected = (
            [entry["learning_rate"] for entry in each.history] for each in (progress, whole)
        )
        assert rates == expected
        assert progress.losses == whole.losses


def test_a_score_that_is_no_number_is_never_the_best():
    progress = Progress()
    patient = Rules(4, 0.0, np.inf, "constant", 1.0, 0.5)
    run(Told([1.0] * 4), patient, progress, scores=[np.nan, 0.5, np.nan, 0.25])
    assert progress.best_score == 0.5
    assert progress.best_parameters == 2


PATIENT = Rules(9, 0.0, np.inf, "constant", 1.0, 0.5)


@pytest.mark.parametrize("scores", [None, [0.1] * 9])
def test_an_interruption_keeps_the_epochs_that_were_whole(scores):
    progress = Progress()
    course = Told([1.0] * 9, interrupted=3)
    training, n_epochs, caught = run(course, PATIENT, progress, scores=scores)
    assert (n_epochs, training.n_epochs, training.n_seen) == (3, 3, 30)
    assert caught == [UserWarning]
    assert len(progress.losses) == len(progress.history) == 3


def test_an_interruption_of_a_score_leaves_records_of_one_length():
    def scores():
        yield from (0.1, 0.2)
        raise KeyboardInterrupt

    progress = Progress()
    _, n_epochs, caught = run(Told([1.0] * 9), PATIENT, progress, scores=scores())
    assert caught == [UserWarning]
    assert len(progress.losses) == len(progress.history) == len(progress.scores) == n_epochs


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans(), st.integers(1, 31))
def test_training_stops_where_it_is_asked_to_and_nobody_is_warned(rules, losses, scored, stop_at):
    scores = losses[::-1] if scored else None
    begun, ended = [], []

    def on_epoch(training, entry):
        ended.append((training, entry.entry()))
        return len(ended) == stop_at

    progress = Progress()
    training, n_epochs, caught = run(
        Told(losses), rules, progress, scores=scores,
        before_step=begun.append, on_step=on_epoch,
    )  # fmt: skip
    expected, _, ended_itself = by_hand(rules, losses, scores)
    assert n_epochs == len(begun) == len(ended) == min(expected, stop_at)
    assert training is ended[-1][0]
    assert [entry for _, entry in ended] == progress.history
    assert all(before is after for before, (after, _) in zip(begun[1:], ended, strict=False))
    stopped = n_epochs == stop_at
    assert caught == ([] if stopped or ended_itself else [ConvergenceWarning])
    # As if that had been the last epoch allowed.
    same = Progress()
    as_allowed, _, _ = run(Told(losses), replace(rules, max_epochs=n_epochs), same, scores=scores)
    assert as_allowed.learning_rate == training.learning_rate
    assert replace(same, records=[]) == replace(progress, records=[])


@pytest.mark.parametrize("schedule", ["constant", "adaptive"])
def test_one_epoch_alone_is_one_epoch_whatever_it_is_answered(schedule):
    rules = Rules(None, 0.0, 1, schedule, 1.0, 0.5)
    worse = Progress(losses=[0.0] * 5, best_loss=0.0, n_not_better=5)
    _, n_epochs, caught = run(Told([1.0] * 3), rules, worse, on_step=lambda *_: False)
    assert (n_epochs, caught) == (1, [])
