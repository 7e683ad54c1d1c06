"""What the linear estimators' ``fit`` methods share: from blocks to a solution."""

from __future__ import annotations

import numbers
import time
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

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
    """Check the parameters that all iterative estimators share.

    Raises
    ------
    ValueError
        ``tol`` or ``max_iter`` is out of range, ``solver`` or ``fit_intercept`` of the
        wrong type.
    """
    check_number(estimator, "tol", low=0.0)
    if not isinstance(estimator.max_iter, numbers.Integral) or estimator.max_iter < 1:
        raise ValueError(
            f"The 'max_iter' parameter of {type(estimator).__name__} must be an integer of at "
            f"least 1, but is {estimator.max_iter!r}."
        )
    if not isinstance(estimator.solver, str):
        raise ValueError(
            f"The 'solver' parameter of {type(estimator).__name__} must be a str, but is "
            f"{estimator.solver!r}."
        )
    check_name(estimator.solver)
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        raise ValueError(
            f"The 'fit_intercept' parameter of {type(estimator).__name__} must be True or "
            f"False, but is {estimator.fit_intercept!r}."
        )


def check_number(
    estimator: Any, name: str, *, low: float, open_low: bool = False, infinite: bool = False
) -> None:
    """Check that a parameter is a real number from ``low`` up.

    Raises
    ------
    ValueError
        It is not.
    """
    value = getattr(estimator, name)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (
        number and (value > low if open_low else value >= low) and (infinite or np.isfinite(value))
    ):
        bound = f"{'greater than' if open_low else 'at least'} {low:g}"
        raise ValueError(
            f"The {name!r} parameter of {type(estimator).__name__} must be a number {bound}, "
            f"but is {value!r}."
        )
