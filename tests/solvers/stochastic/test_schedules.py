"""Learning rates by the number of the epoch, against the formulas of PyTorch's documentation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.exceptions import CheckpointMismatch
from dlbd_estimators.solvers.stochastic.schedules import EpochSchedule
from tests.inputs import flat, perceptron, task


@st.composite
def schedules(draw):
    warmup = draw(st.integers(0, 5))
    n_epochs = draw(st.one_of(st.none(), st.integers(warmup + 1, 30)))
    return EpochSchedule(draw(st.sampled_from([1.0, 0.003])), warmup, n_epochs)


def as_documented(schedule):
    """Rates by the recursions of LinearLR and CosineAnnealingLR, one after the other.

    docs.pytorch.org: torch.optim.lr_scheduler.LinearLR, CosineAnnealingLR (its recursive form).
    """
    w, n_epochs = schedule.warmup_epochs, schedule.n_epochs
    start = 1 / (w + 1)
    rate = schedule.learning_rate * start
    for t in range(w):
        yield rate
        rate *= (start + (1 - start) * (t + 1) / w) / (start + (1 - start) * t / w)
    rate, length = schedule.learning_rate, None if n_epochs is None else n_epochs - w
    for t in range(20 if length is None else length):
        yield rate
        if length is not None:
            rate *= (1 + math.cos(math.pi * (t + 1) / length)) / (
                1 + math.cos(math.pi * t / length)
            )


@given(schedules())
def test_rates_are_those_of_the_documented_recursions(schedule):
    expected = list(as_documented(schedule))
    np.testing.assert_allclose(
        [schedule.rate(t) for t in range(len(expected))], expected, rtol=1e-9
    )


@given(schedules())
def test_rates_are_those_of_pytorch(torch, schedule):
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], schedule.learning_rate)
    w, n_epochs = schedule.warmup_epochs, schedule.n_epochs or 20
    parts = [schedulers.LinearLR(optimizer, 1 / (w + 1), total_iters=w)] if w else []
    if schedule.n_epochs is not None:
        parts.append(schedulers.CosineAnnealingLR(optimizer, n_epochs - w))
    both = schedulers.SequentialLR(optimizer, parts, [w]) if len(parts) == 2 else None
    last = both or (parts[0] if parts else None)
    for t in range(n_epochs):
        rate = optimizer.param_groups[0]["lr"]
        assert schedule.rate(t) == pytest.approx(rate, rel=1e-6)
        optimizer.step()
        if last is not None:
            last.step()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_epochs_of_a_fit_have_these_rates(solver):
    X, y = task("number", n=60)
    options = {"learning_rate": "cosine", "warmup_epochs": 2, "learning_rate_init": 0.01}
    model = perceptron("number", solver=solver, max_iter=6, **options).fit(X, y)
    rates = [entry["learning_rate"] for entry in model.history_]
    assert rates == [EpochSchedule(0.01, 2, 6).rate(t) for t in range(6)]
    other = perceptron("number", solver=solver, max_iter=6, **options)
    for _ in range(8):
        other.partial_fit(X, y)
    rates.extend([rates[-1]] * 2)
    assert [entry["learning_rate"] for entry in other.history_] == rates


def test_a_checkpoint_of_a_longer_cosine_is_another_fit(tmp_path):
    X, y = task("binary", n=60)
    options = {"learning_rate": "cosine", "checkpoint": tmp_path}
    with pytest.warns(ConvergenceWarning):
        perceptron("binary", max_iter=3, **options).fit(X, y)
    with pytest.raises(CheckpointMismatch, match="epochs of the cosine: 3 in the checkpoint, 5"):
        perceptron("binary", max_iter=5, **options).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_decay_and_clipping_reach_the_network():
    X, y = task("binary", n=60)
    plain = flat(perceptron("binary", max_iter=2).fit(X, y))
    for option in ({"clip_norm": 0.01}, {"decoupled_weight_decay": 0.5}):
        assert (flat(perceptron("binary", max_iter=2, **option).fit(X, y)) != plain).any()
    for option in ({"clip_norm": 1e9}, {"decoupled_weight_decay": 0.0}):
        model = perceptron("binary", max_iter=2, **option).fit(X, y)
        np.testing.assert_array_equal(flat(model), plain)
    assert perceptron("binary", learning_rate="cosine", max_iter=2).fit(X, y).to_sklearn().fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": 0.0}, "'clip_norm' parameter"),
        ({"warmup_epochs": -1}, "'warmup_epochs' parameter"),
        ({"decoupled_weight_decay": -1.0}, "'decoupled_weight_decay' parameter"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, "clip_norm=1.0 needs mini-batches"),
        ({"solver": "lbfgs", "learning_rate": "cosine"}, "learning_rate='cosine' needs"),
        ({"solver": "sgd", "decoupled_weight_decay": 1.0}, "needs solver='adam'"),
        ({"learning_rate": "adaptive", "warmup_epochs": 1}, "needs learning_rate='constant'"),
        ({"learning_rate": "cosine", "warmup_epochs": 5, "max_iter": 5}, "leaves none of"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        perceptron("binary", **options).fit(*task("binary", n=60))
