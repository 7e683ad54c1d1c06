"""What the linear estimators' ``fit`` methods share: from blocks to a solution."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from dlbd_estimators._callbacks import FitTask
from dlbd_estimators._parameters import check_flag, check_integer, check_number
from dlbd_estimators.monitoring.lines import print_line
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.solvers import (
    ROW_SPACE,
    Objective,
    Solution,
    Status,
    advice,
    check_name,
    choose,
    minimize,
    row_space,
)
from dlbd_estimators.solvers.base import State


def solve(
    estimator: Any,
    objective: Objective,
    start: FloatArray | None = None,
    *,
    task: FitTask,
    model: Callable[[Solution], dict[str, Any]],
) -> Solution:
    """Minimise an objective as the estimator's parameters ask, and record how it went.

    Reads ``solver``, ``tol``, ``max_iter`` and ``verbose``; sets ``solver_``, ``n_passes_``,
    ``history_`` and what ``model`` gives.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    objective : Objective
        What to minimise.
    start : ndarray, optional
        Where to begin; None lets the solver choose.
    task : FitTask
        Hears of each step, and may end the fit.
    model : callable
        Turns a solution into the estimator's attributes, by name. It is called for the last
        one, and after a step for what that step has found where a callback wants to see it:
        so both are the same.
    """
    began = time.perf_counter()
    lines = [print_line] if estimator.verbose else []
    blocks = objective.blocks
    reduced = row_space(objective) if estimator.solver in ROW_SPACE else None
    if reduced is not None:
        objective, start = reduced, None if start is None else reduced.coordinates(start)
    solver = choose(estimator.solver, objective)
    task.start(objective.executor, blocks, lines)
    history: list[dict[str, float]] = []

    def attributes(solution: Solution) -> dict[str, Any]:
        return {
            "solver_": solver.name,
            "n_passes_": solution.n_passes,
            "history_": solution.history,
            **model(solution),
        }

    def stopped_at(state: State) -> Callable[[], dict[str, Any]]:
        # Now, and not when asked: the next pass may centre the features otherwise.
        parameters = objective.original(state.parameters)
        return lambda: attributes(
            Solution(
                parameters,
                Status.STOPPED,
                len(history),
                objective.n_passes,
                list(history),
                state,
            )
        )

    def on_step(state: State, entry: dict[str, float]) -> bool:
        history.append(entry)
        return task.end_step(entry, stopped_at(state))

    solution = minimize(
        solver,
        objective,
        start=start,
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        clock=lambda: time.perf_counter() - began,
        before_step=lambda state: task.begin_step(stopped_at(state)),
        on_step=on_step,
        on_warning=task.warn,
        advice=advice(estimator.solver, solver, objective),
    )
    task.status = solution.status.name.lower()
    vars(estimator).update(attributes(solution))
    return solution


def seed_of(random_state: Any) -> int:
    """Return a seed; None is 0, so that a fit gives the same bits each time."""
    if random_state is None:
        return 0
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def check_stopping(estimator: Any) -> None:
    """Check the parameters that all iterative linear estimators share.

    Raises
    ------
    ValueError
        ``tol``, ``max_iter`` or ``verbose`` is out of range, ``solver`` or ``fit_intercept`` of the
        wrong type.
    """
    check_number(estimator, "tol", low=0.0)
    check_integer(estimator, "max_iter", low=1)
    if not isinstance(estimator.solver, str):
        raise ValueError(
            f"The 'solver' parameter of {type(estimator).__name__} must be a str, but is "
            f"{estimator.solver!r}."
        )
    check_name(estimator.solver)
    check_flag(estimator, "fit_intercept")
    check_integer(estimator, "verbose", low=0)
