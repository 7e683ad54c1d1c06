"""When training stops, and how long its steps are: rules held against themselves written out."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.engine.cost import Cost
from dlbd_estimators.engine.passes import Pass, Round
from dlbd_estimators.engine.rounds import TrainedReplica
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.row_counts import RowCountKernel
from dlbd_estimators.kernels.updates import SGD
from dlbd_estimators.solvers import Fit, Status, minimize
from dlbd_estimators.solvers.saving import from_bytes, to_bytes
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.epochs import Epochs, Training, Validation
from dlbd_estimators.solvers.stochastic.one_epoch import EpochScheme

N_ROWS = 10
# Few values, so that epochs are often just as good as the best, or better by just tol.
VALUES = st.integers(0, 8).map(lambda n: n / 8)
BLOCKS, HELD_OUT = (from_arrays(np.zeros((n, 1)), np.zeros(n), None) for n in (N_ROWS, 2))


@dataclass(frozen=True)
class Rules:
    """What rules the epochs; no most of them is one, and no more asked for."""

    max_epochs: int | None
    tol: float
    patience: float
    schedule: str
    learning_rate: float
    power_t: float

    @property
    def solver(self):
        return Epochs(
            self.patience, self.schedule, self.learning_rate, self.power_t, self.max_epochs is None
        )


class _Turn:
    """Training that reads fifty bytes."""

    def run(self, _learner):
        return TrainedReplica(None, [], 0, Cost(bytes_read=50))


class Told(EpochScheme):
    """Epochs of which the losses are known before; parameters are the number of the epoch."""

    def __init__(self, losses, interrupted=None):
        self._losses = losses
        self._interrupted = interrupted

    def begin(self, parameters, learning_rate):
        return EpochState.begin(parameters, SGD(), 1, learning_rate)

    def epoch(self, state):
        yield Round(_Turn(), None, "round", n_passes=1.0)
        yield Round(_Turn(), None, "round", n_passes=0.0)
        if state.n_epochs == self._interrupted:
            raise KeyboardInterrupt
        return replace(
            state,
            parameters=state.parameters + 1.0,
            value=self._losses[state.n_epochs],
            n_epochs=state.n_epochs + 1,
            n_seen=state.n_seen + N_ROWS,
            n_rounds=2,
        )


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


def run(scheme, rules, *, scores=None, start=None, **hooks):
    """Train; return what came of it, and the warnings."""
    told, clock = None if scores is None else iter(scores), itertools.count()

    def score(_parameters):
        yield Pass(RowCountKernel(), None, "score", blocks=HELD_OUT, n_passes=0.5)
        score = next(told)
        return Validation(score, -score)

    problem = Training(BLOCKS, scheme, None if told is None else score)
    fit = Fit(
        rules.solver,
        problem,
        np.zeros(1) if start is None else start,
        tol=rules.tol,
        max_iter=rules.max_epochs or 1,
        clock=lambda: float(next(clock)),
        **hooks,
    )
    with warnings.catch_warnings(record=True) as caught, ThreadExecutor(1) as executor:
        warnings.simplefilter("always")
        solution = minimize(executor, fit)
    return solution, [each.category for each in caught]


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
    solution, caught = run(Told(losses), rules, scores=scores)
    state, n_epochs = solution.state, solution.n_iter
    expected, rates, ended = by_hand(rules, losses, scores)
    assert n_epochs == expected
    assert [entry["learning_rate"] for entry in solution.history] == pytest.approx(rates)
    assert caught == ([] if ended else [ConvergenceWarning])
    assert solution.status is (Status.CONVERGED if ended else Status.MAX_ITER)
    assert list(state.losses) == losses[:n_epochs]
    assert state.n_seen == N_ROWS * n_epochs
    if scored:
        seen = scores[:n_epochs]
        assert list(state.scores) == seen
        assert state.best_score == max(seen)
        assert state.best_parameters == solution.parameters == 1 + seen.index(max(seen))
    else:
        assert state.scores == ()
        assert state.best_loss == min(losses[:n_epochs])
        assert state.best_parameters is None
        assert solution.parameters == n_epochs


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans())
def test_history_has_an_entry_an_epoch(rules, values, scored):
    solution, _ = run(Told(values), rules, scores=values if scored else None)
    assert solution.history == [
        {
            "iteration": n,
            "pass": n * (1.5 if scored else 1.0),
            "loss": values[n - 1],
            "learning_rate": solution.history[n - 1]["learning_rate"],
            "rounds": 2,
            "seconds": n - 1.0,
            "bytes_read": 100 * n,  # of rows trained on
        }
        | ({"validation_score": values[n - 1], "validation_loss": -values[n - 1]} if scored else {})
        for n in range(1, solution.n_iter + 1)
    ]
    assert solution.n_passes == solution.history[-1]["pass"]


@given(rules(endless=True), st.lists(VALUES, min_size=12, max_size=12))
def test_epochs_one_by_one_go_on_as_one_training_would(rules, losses):
    scheme, state, rates = Told(losses), None, []
    for n in range(1, 13):
        solution, caught = run(scheme, rules, start=state)
        state = replace(solution.state, n_iter=0, status=None)
        rates += [entry["learning_rate"] for entry in solution.history]
        assert (solution.n_iter, state.n_epochs, caught) == (1, n, [])
        assert solution.status is Status.DONE
        assert len(state.losses) == len(rates) == n
    endless = replace(rules, max_epochs=12, patience=np.inf)
    if rules.schedule != "adaptive":
        whole, _ = run(Told(losses), endless)
        assert rates == [entry["learning_rate"] for entry in whole.history]
        assert state.losses == whole.state.losses


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5] * 8),
        ("invscaling", [0.5 / rows**0.7 for rows in (1, 11, 21, 31, 41, 51, 61, 71)]),
        ("adaptive", [0.5, 0.5, 0.5, 0.1, 0.1, 0.02, 0.02, 0.004]),
    ],
)
def test_rates_of_eight_epochs_of_which_none_is_better(schedule, rates):
    patience = 1 if schedule == "adaptive" else np.inf
    losses = [float(epoch) for epoch in range(8)]
    solution, _ = run(Told(losses), Rules(8, 0.0, patience, schedule, 0.5, 0.7))
    found = [entry["learning_rate"] for entry in solution.history]
    np.testing.assert_allclose(found, rates, rtol=1e-12)


def test_a_score_that_is_no_number_is_never_the_best():
    patient = Rules(4, 0.0, np.inf, "constant", 1.0, 0.5)
    solution, _ = run(Told([1.0] * 4), patient, scores=[np.nan, 0.5, np.nan, 0.25])
    assert solution.state.best_score == 0.5
    assert solution.state.best_parameters == 2


PATIENT = Rules(9, 0.0, np.inf, "constant", 1.0, 0.5)


@pytest.mark.parametrize("scores", [None, [0.1] * 9])
def test_an_interruption_keeps_the_epochs_that_were_whole(scores):
    scheme = Told([1.0] * 9, interrupted=3)
    solution, caught = run(scheme, PATIENT, scores=scores)
    state = solution.state
    assert (solution.n_iter, state.n_epochs, state.n_seen) == (3, 3, 30)
    assert caught == [UserWarning]
    assert solution.status is Status.INTERRUPTED
    assert len(state.losses) == len(solution.history) == 3


def test_an_interruption_of_a_score_leaves_records_of_one_length():
    def scores():
        yield from (0.1, 0.2)
        raise KeyboardInterrupt

    solution, caught = run(Told([1.0] * 9), PATIENT, scores=scores())
    state = solution.state
    assert caught == [UserWarning]
    assert len(state.losses) == len(solution.history) == len(state.scores) == solution.n_iter


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans(), st.integers(1, 31))
def test_training_stops_where_it_is_asked_to_and_nobody_is_warned(rules, losses, scored, stop_at):
    scores = losses[::-1] if scored else None
    begun, ended = [], []

    def on_epoch(state, entry):
        ended.append((state, entry.entry()))
        return len(ended) == stop_at

    solution, caught = run(
        Told(losses), rules, scores=scores, before_step=begun.append, on_step=on_epoch
    )
    n_epochs, state = solution.n_iter, solution.state
    expected, _, ended_itself = by_hand(rules, losses, scores)
    assert n_epochs == len(begun) == len(ended) == min(expected, stop_at)
    assert state is ended[-1][0]
    assert [entry for _, entry in ended] == solution.history
    assert all(before is after for before, (after, _) in zip(begun[1:], ended, strict=False))
    stopped = n_epochs == stop_at
    assert caught == ([] if stopped or ended_itself else [ConvergenceWarning])
    # As if that had been the last epoch allowed.
    same, _ = run(Told(losses), replace(rules, max_epochs=n_epochs), scores=scores)
    assert to_bytes(same.state) == to_bytes(state)


@pytest.mark.parametrize("schedule", ["constant", "adaptive"])
def test_one_epoch_alone_is_one_epoch_whatever_it_is_answered(schedule):
    rules = Rules(None, 0.0, 1, schedule, 1.0, 0.5)
    worse = replace(
        Told([]).begin(np.zeros(1), 1.0), losses=(0.0,) * 5, best_loss=0.0, n_not_better=5
    )
    solution, caught = run(Told([1.0] * 3), rules, start=worse, on_step=lambda *_: False)
    assert (solution.n_iter, caught) == (1, [])


@given(rules(), st.lists(VALUES, min_size=30, max_size=30), st.booleans(), st.integers(1, 30))
def test_training_saved_between_two_epochs_goes_on_as_if_it_never_stopped(
    rules, losses, scored, stop_at
):
    scores = losses[::-1] if scored else None
    whole, _ = run(Told(losses), rules, scores=scores)
    first, _ = run(
        Told(losses), rules, scores=scores, on_step=lambda state, _: state.n_iter == stop_at
    )
    if first.status is not Status.STOPPED:
        return
    state = from_bytes(rules.solver, to_bytes(first.state))
    rest = None if scores is None else scores[stop_at:]
    resumed, _ = run(Told(losses), rules, scores=rest, start=state)
    if stop_at >= rules.max_epochs:
        return  # what was asked for was made before
    assert to_bytes(resumed.state) == to_bytes(whole.state)
    assert resumed.status is whole.status


def test_an_epoch_that_diverged_has_no_numbers_but_its_rate():
    state = EpochState.begin(np.zeros(1), SGD(), 1, 0.25)
    state = replace(state, losses=(3.0,), scores=(0.5,), score=0.5, validation_loss=1.0, n_rounds=7)
    state = replace(state, within=True, rounds_made=3, trained=20, total=9.0, value=3.0)
    diverged = state.diverged("too fast")
    record = diverged.record(1.0)
    assert np.isnan([record.loss, record.validation_score, record.validation_loss]).all()
    assert (record.iteration, record.learning_rate, record.rounds) == (2, 0.25, 0)
    assert np.isnan([diverged.losses[1], diverged.scores[1]]).all()
    assert (diverged.within, diverged.rounds_made, diverged.trained) == (False, 0, 0)
    assert (diverged.total, diverged.reason, diverged.status) == (0.0, "too fast", Status.DIVERGED)


def test_lines_say_what_happens_after_an_epoch():
    solver = Epochs(2, "adaptive", 1.0, 0.5)
    state = replace(EpochState.begin(np.zeros(1), SGD(), 1, 0.2), value=1.5, n_iter=7)
    assert solver.lines(state, 0.1) == ["Iteration 7, loss = 1.50000000"]
    worse = "Training loss did not improve more than tol=0.100000 for 2 epochs."
    slowed = solver.lines(replace(state, slowed=True), 0.1)
    assert slowed[1:] == [f"{worse} Setting learning rate to 0.200000"]
    assert solver.lines(replace(state, n_not_better=3), 0.1)[1:] == [f"{worse} Stopping."]
    assert len(solver.lines(replace(state, n_not_better=2), 0.1)) == 1
    scored = solver.lines(replace(state, score=0.25, n_not_better=3), 0.1)
    assert scored[1] == "Validation score: 0.250000"
    assert scored[2].startswith("Validation score did not improve")
    by_loss = replace(solver, score_decides=False)
    assert by_loss.lines(replace(state, score=0.25, n_not_better=3), 0.1)[2].startswith(worse)
