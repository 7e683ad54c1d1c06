"""Functions that all estimators with a built-in search share: the problem, the fit, the checks."""

from __future__ import annotations

import time
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from dlbd_estimators.base.callbacks import FitTask
from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.solvers import Fit, Problem, Solution, Status, minimize
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.matrix_memory import check_room
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState


def least_squares_problem(
    executor: Executor,
    blocks: Blocks,
    packing: Packing,
    penalty: L2,
    l1: L1 | None,
    *,
    name: str,
    otherwise: str,
) -> Problem:
    """Return a least-squares problem, after a check that its second moments fit in memory.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    blocks : Blocks
        The data.
    packing : Packing
        Order of the parameters.
    penalty, l1 : L2, L1 or None
        Penalties to start with; the search chooses the penalties of the model.
    name : str
        Name of the passes on the dashboard.
    otherwise : str
        Advice for data whose second moments do not fit; the end of a sentence.

    Raises
    ------
    ValueError
        There are too many features for a matrix of second moments.
    MatrixTooLarge
        A worker has too little memory for the matrix.
    """
    if packing.n_features > LARGEST_HESSIAN:
        raise ValueError(
            f"X has {packing.n_features} features, but second moments are limited to "
            f"{LARGEST_HESSIAN}. Select columns first, or {otherwise}."
        )
    problem = Problem(
        blocks,
        HalfSquaredError(),
        penalty,
        packing,
        name=name,
        l1=l1,
        room=executor.matrix_room(blocks),
    )
    check_room(problem, "gram", packing.n_features + packing.n_outputs, f"Or {otherwise}")
    return problem


def search(
    estimator: Any,
    executor: Executor,
    problem: Problem,
    solver: Minimizer[Any],
    *,
    task: FitTask,
    model: Callable[[Solution], dict[str, Any]],
    advice: str,
    start: FloatArray | None = None,
) -> Solution:
    """Run the solver of a search, set the fitted attributes, and return the solution.

    Parameters
    ----------
    estimator : estimator
        The estimator to fit. Its ``tol`` and ``verbose`` are used if it has them.
    executor : Executor
        Runs the passes.
    problem : Problem
        The objective to minimise.
    solver : Minimizer
        Chooses the penalty, then fits the model.
    task : FitTask
        Receives each step, and may stop the search.
    model : callable
        Converts a solution to the estimator's attributes, by name.
    advice : str
        Advice for a search that does not converge, in addition to more steps.
    start : ndarray, optional
        Parameters to start from; None lets the solver choose.
    """
    started_at = time.perf_counter()
    task.checkpoint.open(executor, problem.blocks)
    task.start(executor, problem.blocks, print_lines=bool(getattr(estimator, "verbose", 0)))
    records: list[Record] = []

    def attributes(solution: Solution) -> dict[str, Any]:
        return {
            "solver_": solver.name,
            "n_passes_": solution.n_passes,
            "history_": solution.history,
            **model(solution),
        }

    def stopped_at(state: MinimizerState) -> Callable[[], dict[str, Any]]:
        return lambda: attributes(
            Solution(
                problem.with_known(state.known).original(state.parameters),
                Status.STOPPED,
                len(records),
                state.n_passes,
                list(records),
                state,
            )
        )

    def on_step(state: MinimizerState, record: Record) -> bool:
        records.append(record)
        return task.end_step(record, stopped_at(state))

    fit = Fit(
        solver,
        problem,
        start=start,
        tol=float(getattr(estimator, "tol", 0.0)),
        max_iter=task.max_steps,
        clock=lambda: time.perf_counter() - started_at,
        before_step=lambda state: task.begin_step(stopped_at(state)),
        on_step=on_step,
        on_warning=task.warn,
        advice=advice,
    )
    solution = minimize(executor, task.checkpoint.resume(fit, problem.packing.size, records))
    task.status = solution.status.name.lower()
    with task.checkpoint.checks_results(fit):
        found = attributes(solution)
    vars(estimator).update(found)
    return solution


def check_alphas(estimator: Any, *, open_low: bool) -> FloatArray:
    """Check the estimator's ``alphas``, and return them as floats in the same order.

    Raises
    ------
    InvalidParameter
        An alpha is out of range, or there are no alphas.
    """
    alphas = estimator.alphas
    values = np.atleast_1d(np.asarray(alphas, dtype=object))
    good = values.ndim == 1 and len(values) > 0
    for alpha in values if good else ():
        good = good and isinstance(alpha, Real) and not isinstance(alpha, bool | np.bool_)
        good = good and bool(np.isfinite(alpha)) and (alpha > 0 if open_low else alpha >= 0)
    if not good:
        interval = f"{'(' if open_low else '['}0.0, inf)"
        raise invalid_parameter(
            estimator,
            "alphas",
            f"a float in the range {interval}",
            f"a non-empty array-like of floats in the range {interval}",
        )
    return values.astype(np.float64)
