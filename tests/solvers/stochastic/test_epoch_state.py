"""The state of a training: after an epoch that diverged, in printed lines, in a continued fit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlbd_estimators.kernels.updates import SGD
from dlbd_estimators.solvers import Status
from dlbd_estimators.solvers.random_states import freeze
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.epochs import Epochs


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


SHUFFLED = {"random": freeze(np.random.RandomState(0)), "order": np.arange(4)}
FITTING = EpochState.begin(np.zeros(3), SGD(), 2, 0.2, **SHUFFLED)
FITTING = replace(FITTING, order=np.array([2, 0, 3, 1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": np.array([2, 0, 3, 3])}, "not a permutation"),
        ({"order": np.array([2, 0, 1])}, "not a permutation"),
        ({"order": None}, "not a permutation"),
        ({"random": None}, "not a permutation"),
        ({"replicas": FITTING.replicas[:1]}, "other replicas"),
        ({"replicas": (replace(FITTING.replicas[0], moments=()),) * 2}, "other moments"),
        ({"parameters": np.zeros(3, np.float32)}, "another dtype"),
    ],
)
def test_a_loaded_state_has_to_fit_the_training(changes, message):
    def begin(parameters, rate):
        return EpochState.begin(parameters, SGD(), 2, rate, **SHUFFLED)

    training = SimpleNamespace(scheme=SimpleNamespace(begin=begin))
    solver = Epochs(2, "constant", 1.0, 0.5)
    solver.check(training, FITTING)
    with pytest.raises(ValueError, match=message):
        solver.check(training, replace(FITTING, **changes))


def test_a_loaded_state_of_rows_in_their_order_has_no_other_order():
    def begin(parameters, rate):
        return EpochState.begin(parameters, SGD(), 1, rate)

    training = SimpleNamespace(scheme=SimpleNamespace(begin=begin))
    solver = Epochs(2, "constant", 1.0, 0.5)
    state = begin(np.zeros(3), 0.1)
    solver.check(training, state)
    with pytest.raises(ValueError, match="not a permutation"):
        solver.check(training, replace(state, order=np.arange(4)))


def test_lines_after_an_epoch():
    solver = Epochs(2, "adaptive", 1.0, 0.5)
    state = replace(EpochState.begin(np.zeros(1), SGD(), 1, 0.2), value=1.5, n_iter=7)
    assert solver.lines(state, 0.1) == ["Iteration 7"]  # without losses
    state = replace(state, losses=(1.5,))
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


def test_a_fit_that_continues_has_the_counts_and_the_best_of_the_last():
    last = replace(
        EpochState.begin(np.ones(1), SGD(), 1, 0.2),
        n_passes=3.5,
        bytes_read=70,
        n_seen=30,
        losses=(3.0, 2.0),
        scores=(0.5, 0.25),
        best_loss=2.0,
        best_score=0.5,
        best_parameters=np.ones(1),
        n_not_better=1,
        n_epochs=2,
    )
    begun = EpochState.begin(np.zeros(1), SGD(), 1, 0.1)
    found = begun.continued_from(last)
    names = ("n_passes", "bytes_read", "n_seen", "losses", "scores", "best_loss", "best_score")
    for name in (*names, "best_parameters", "n_not_better"):
        assert getattr(found, name) == getattr(last, name) != getattr(begun, name)
    for name in ("parameters", "learning_rate", "n_epochs"):
        assert getattr(found, name) == getattr(begun, name) != getattr(last, name)
