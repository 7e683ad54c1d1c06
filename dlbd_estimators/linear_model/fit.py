"""Solve a problem and set the fitted attributes of a linear model; all ``fit`` methods use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.base.callbacks import FitTask, most_steps
from dlbd_estimators.base.parameters import check_flag, check_integer, check_number, check_verbose
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.linear_model.choose_solver import ROW_SPACE, advice, choose
from dlbd_estimators.linear_model.solver_names import warning_prefix
from dlbd_estimators.solvers import Fit, Problem, Solution, Status, minimize, row_space
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.minimizer import MinimizerState


def solve(
    estimator: Any,
    executor: Executor,
    problem: Problem,
    start: FloatArray | None = None,
    *,
    solver_name: str,
    task: FitTask,
    model: Callable[[Solution], dict[str, Any]],
) -> Solution:
    """Minimise an objective and set the fitted attributes of the estimator.

    The estimator's ``tol``, ``max_iter`` and ``verbose`` control the solver. The attributes are
    ``solver_``, ``n_passes_``, ``history_`` and those that ``model`` returns.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.
    executor : Executor
        Runs the passes.
    problem : Problem
        The objective to minimise.
    start : ndarray, optional
        Parameters to start from; None lets the solver choose.
    solver_name : str
        Name of a solver of this package, or ``"auto"``.
    task : FitTask
        Receives each step, and may end the fit.
    model : callable
        Converts a solution to the estimator's attributes, by name. It is called for the final
        solution, and after a step if a callback asks for the model of that step.
    """
    started_at = time.perf_counter()
    original, reduced = problem, row_space(problem, executor) if solver_name in ROW_SPACE else None
    initial = start
    if reduced is not None:
        problem, initial = reduced, None if start is None else reduced.coordinates(start)
    if initial is not None:
        # Solver steps cannot remove a shift common to all classes, so remove it from the start.
        initial = problem.without_shift(initial)
    checkpoint = task.checkpoint
    # A resumed fit keeps its solver: with other workers, "auto" might choose another one.
    solver = choose(checkpoint.solver or solver_name, problem)
    task.start(executor, original.blocks, print_lines=bool(estimator.verbose))
    records: list[Record] = []

    def attributes(solution: Solution) -> dict[str, Any]:
        return {
            "solver_": solver.name,
            "n_passes_": solution.n_passes,
            "history_": solution.history,
            **model(solution),
        }

    def stopped_at(state: MinimizerState) -> Callable[[], dict[str, Any]]:
        def attributes_there() -> dict[str, Any]:
            parameters = problem.with_known(state.known).original(state.parameters)
            steps = list(records)
            return attributes(
                Solution(parameters, Status.STOPPED, len(steps), state.n_passes, steps, state)
            )

        return attributes_there

    def before_step(state: MinimizerState) -> None:
        task.begin_step(stopped_at(state))

    def on_step(state: MinimizerState, record: Record) -> bool:
        records.append(record)
        return task.end_step(record, stopped_at(state))

    if not most_steps(estimator):
        solution = _at_start(original, start)
        message = f"{solver.name} made no step: max_iter=0. Increase it."
        task.warn(solution.status.name.lower(), message, ConvergenceWarning)
        vars(estimator).update(attributes(solution))
        return solution
    fit = Fit(
        solver,
        problem,
        start=initial,
        tol=estimator.tol,
        max_iter=most_steps(estimator),
        clock=lambda: time.perf_counter() - started_at,
        before_step=before_step if task.is_observed else None,
        on_step=on_step if task.is_observed else None,
        on_warning=task.warn,
        prefix=warning_prefix(estimator),
        advice=advice(solver_name, solver, problem),
    )
    solution = minimize(executor, checkpoint.resume(fit, problem.packing.size, records))
    task.status = solution.status.name.lower()
    with checkpoint.checks_results(fit):
        found = attributes(solution)
    vars(estimator).update(found)
    return solution


def _at_start(problem: Problem, start: FloatArray | None) -> Solution:
    """Return the solution for ``max_iter=0``, as in scikit-learn: the start, or zeros."""
    parameters = np.zeros(problem.packing.size) if start is None else start
    return Solution(parameters, Status.MAX_ITER, 0, 0.0, [], MinimizerState(parameters))


def seed_of(random_state: Any, task: FitTask) -> int:
    """Return a seed; it is 0 for None, so that fits of the same data are bit-identical."""
    if random_state is None:
        return 0
    return int(task.checkpoint.random_state(random_state).randint(np.iinfo(np.int32).max))


def check_stopping(estimator: Any, *, fewest: int = 1, unbounded: bool = False) -> None:
    """Check the parameters that all iterative linear estimators share, except ``solver``.

    Parameters
    ----------
    estimator : estimator
        The estimator with these parameters.
    fewest : int, default=1
        Smallest ``max_iter`` that is allowed.
    unbounded : bool, default=False
        Whether ``max_iter`` may be None, which means 1,000.

    Raises
    ------
    InvalidParameter
        ``tol``, ``max_iter`` or ``verbose`` is out of range, or ``fit_intercept`` is not a bool.
    """
    check_number(estimator, "tol", low=0.0)
    check_integer(estimator, "max_iter", low=fewest, none=unbounded)
    check_flag(estimator, "fit_intercept")
    check_verbose(estimator)
