"""What the linear estimators' ``fit`` methods share: from blocks to a solution."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from dlbd_estimators._parameters import check_flag, check_integer, check_number
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.solvers import Objective, Solution, check_name, choose, minimize


def solve(estimator: Any, objective: Objective, start: FloatArray | None = None) -> Solution:
    """Minimise an objective as the estimator's parameters ask, and record how it went.

    Reads ``solver``, ``tol`` and ``max_iter``; sets ``solver_``, ``n_passes_`` and
    ``history_``.
    """
    began = time.perf_counter()
    solver = choose(estimator.solver, objective)
    solution = minimize(
        solver,
        objective,
        start=start,
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        clock=lambda: time.perf_counter() - began,
    )
    estimator.solver_ = solver.name
    estimator.n_passes_ = solution.n_passes
    estimator.history_ = solution.history
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
        ``tol`` or ``max_iter`` is out of range, ``solver`` or ``fit_intercept`` of the
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
