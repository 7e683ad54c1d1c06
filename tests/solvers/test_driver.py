"""The loop that drives solvers: what is hooked into it sees every step, and can end it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfSquaredError
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers import Status
from dlbd_estimators.solvers.smooth.newton import Newton
from tests.solvers import dense
from tests.solvers.dense import problem_of

SOLVER_NAMES = ["newton", "lbfgs", "gradient_descent"]


def drawn(seed=0, loss=None):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] + rng.normal(size=60) > 0).astype(float)
    return problem_of(X, y, loss or HalfBinomialLoss(), strength=0.1)


def run(name, problem, *, tol=1e-9, max_iter=100, **hooks):
    return dense.run(SOLVERS[name](), problem, tol=tol, max_iter=max_iter, clock=float, **hooks)


@given(st.sampled_from(SOLVER_NAMES), st.integers(1, 6), st.integers(0, 99))
def test_a_stopped_solution_is_the_state_that_the_step_ended_in(name, stop_at, seed):
    begun, ended = [], []

    def on_step(state, entry):
        ended.append((state, entry.entry()))
        return len(ended) == stop_at

    problem = drawn(seed)
    # Warnings are errors: what was asked for is no reason for one.
    solution = run(name, problem, before_step=begun.append, on_step=on_step)
    n = solution.n_iter
    assert n == len(begun) == len(ended) <= stop_at
    assert solution.state is ended[-1][0]
    np.testing.assert_array_equal(
        solution.parameters,
        problem.with_known(solution.state.known).original(solution.state.parameters),
    )
    assert all(before is after for before, (after, _) in zip(begun[1:], ended, strict=False))
    assert solution.history == [entry for _, entry in ended]
    whole = run(name, drawn(seed))
    assert solution.status is (Status.CONVERGED if n == whole.n_iter else Status.STOPPED)
    np.testing.assert_array_equal(
        [entry["loss"] for entry in solution.history],
        [entry["loss"] for entry in whole.history[:n]],
    )


@pytest.mark.parametrize("name", SOLVER_NAMES)
def test_hooks_that_ask_for_nothing_change_nothing(name):
    plain = run(name, drawn())
    watched = run(name, drawn(), before_step=lambda _: None, on_step=lambda _state, _entry: False)
    assert watched.status is plain.status is Status.CONVERGED
    np.testing.assert_array_equal(watched.parameters, plain.parameters)
    assert watched.history == plain.history


def test_too_few_steps_are_still_warned_of():
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        solution = run("newton", drawn(), max_iter=1, on_step=lambda _state, _entry: False)
    assert solution.status is Status.MAX_ITER


def test_a_stop_at_the_last_step_allowed_is_a_stop():
    solution = run("newton", drawn(), max_iter=1, on_step=lambda _state, _entry: True)
    assert solution.status is Status.STOPPED


def test_a_direct_solution_cannot_be_stopped():
    solution = run("gram", drawn(loss=HalfSquaredError()), on_step=lambda _state, _entry: True)
    assert solution.status is Status.CONVERGED


def settings():
    pools = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
    return np.geterr(), [each["num_threads"] for each in pools]


@pytest.mark.parametrize("hook", ["before_step", "on_step", "save"])
def test_hooks_have_the_settings_of_the_caller(hook):
    seen = []
    with np.errstate(over="raise", invalid="warn", divide="print"):
        expected = settings()
        run("newton", drawn(), **{hook: lambda *_: seen.append(settings())})
    assert seen
    assert all(each == expected for each in seen)


@pytest.mark.parametrize("hook", ["before_step", "on_step"])
def test_errors_of_hooks_propagate(hook):
    def fail(*_):
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        run("newton", drawn(), **{hook: fail})


class Broken(Newton):
    """Newton's method whose steps end with some other values."""

    def __init__(self, changes):
        self.changes = changes

    def step(self, problem, state, tol):
        found = yield from super().step(problem, state, tol)
        return replace(found, **self.changes)


@pytest.mark.parametrize(
    "changes", [{"value": np.inf}, {"parameters": np.array([0.0, np.nan, 1.0, 0.0, 0.0])}]
)
def test_a_step_to_numbers_that_are_not_finite_is_an_error(changes):
    with pytest.raises(Diverged, match="newton reached a non-finite objective in iteration 1"):
        dense.run(Broken(changes), drawn())
