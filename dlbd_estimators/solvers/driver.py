"""The loop that drives solvers: it serves their requests, and lets several fits share a sweep.

Passes over the same blocks share a sweep; a round of training a network's replicas runs alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.passes import Pass, Round
from dlbd_estimators.solvers.fit import Fit, FitRun, Solution
from dlbd_estimators.solvers.matrix_memory import sweep_fits
from dlbd_estimators.solvers.overflow import is_overflow


def minimize(executor: Executor, fit: Fit) -> Solution:
    """Drive a solver until it meets ``tol``.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    fit : Fit
        What to minimise, and how.

    Returns
    -------
    Solution
        The solver's last model, and why it stopped.

    Raises
    ------
    Diverged
        The objective became infinite or NaN on finite data.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before it met ``tol``, and not because ``on_step`` asked for it.
    UserWarning
        The user interrupted the fit, and the solver already had a usable model.
    """
    [outcome] = minimize_together(executor, [fit])
    try:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
    finally:
        # The traceback of an exception refers to this frame. Without `del`, the reference cycle
        # would keep the exception and the data in memory.
        del outcome


def minimize_together(executor: Executor, fits: Sequence[Fit]) -> list[Solution | Exception]:
    """Drive several solvers, and read the data once for requests that they make at the same time.

    Each fit has the result that it would have alone, to the last bit; its history counts the passes
    that it requested. If a fit fails, the others continue, unless the error is in their data.

    Parameters
    ----------
    executor : Executor
        Runs the sweeps.
    fits : sequence of Fit
        Fits whose problems have the same ``blocks`` object share sweeps.

    Returns
    -------
    list of Solution or Exception
        For each fit, in order, what :func:`minimize` returns or raises.

    Warns
    -----
    ConvergenceWarning
        A solver stopped before it met ``tol``, as in :func:`minimize`.
    """
    runs = [FitRun(fit) for fit in fits]
    while running := [run for run in runs if run.outcome is None]:
        try:
            _make_steps(executor, running)
        except KeyboardInterrupt:
            if not all(run.interrupt() for run in running):
                raise
    return [run.take_outcome() for run in runs]


def _make_steps(executor: Executor, running: Sequence[FitRun]) -> None:
    """Serve requests until a fit has ended, or has reached a step after which its hooks run."""
    # Between passes, solvers solve small dense systems. Their results must not depend on the number
    # of cores either. The driver checks for overflow itself: NumPy's warnings are not needed. The
    # caller's hooks run outside this context. To enter and leave it takes as long as the arithmetic
    # of a step with few columns.
    with single_threaded_blas, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for run in running:
            if run.request is None:
                run.resume()
            _continue_without_hooks(run)
        while all(run.request for run in running):
            _serve_smallest(executor, running)
            for run in running:
                _continue_without_hooks(run)
    for run in running:
        if run.request is None and run.outcome is None:
            run.end_step()


def _continue_without_hooks(run: FitRun) -> None:
    """Begin the next step of a fit whose last step has ended, if it has no hooks."""
    while run.request is None and run.outcome is None and not run.fit.has_hooks:
        run.end_step()
        if run.outcome is None:
            run.resume()


def _serve_smallest(executor: Executor, running: Sequence[FitRun]) -> None:
    """Serve the request that reads the least data, together with the fits that can share it.

    Fits that request more of the data wait until no fit requests less. By then more fits wait, and
    one reading of all blocks serves all of them. A round of replicas is never shared.
    """
    first = min(running, key=lambda run: run.share)
    if isinstance(first.request, Round):
        _serve_round(executor, first, first.request)
        return
    blocks, sharing, n_entries = first.blocks, [first], first.n_entries
    for run in running:
        shares = run.blocks is blocks and run.indices == first.indices
        shares = shares and isinstance(run.request, Pass)
        total_entries = n_entries + run.n_entries
        if shares and run is not first and sweep_fits(executor, blocks, total_entries):
            sharing.append(run)
            n_entries = total_entries
    _serve(executor, sharing)


def _serve(executor: Executor, sharing: Sequence[FitRun]) -> None:
    """Run one sweep, and send each fit its result."""
    passes = [run.request for run in sharing if isinstance(run.request, Pass)]
    try:
        results = executor.sweep(passes, sharing[0].blocks)
    except Exception as error:  # noqa: BLE001  (after any error, the other fits continue)
        # The parameters of one fit can cause an overflow, so the fits run again one by one. Any
        # other error comes from the data, which all of them read.
        for run in sharing:
            if is_overflow(error) and len(sharing) > 1:
                _serve(executor, [run])
            else:
                run.resume(error)
        return
    for run, result in zip(sharing, results, strict=True):
        run.resume(result)


def _serve_round(executor: Executor, run: FitRun, request: Round) -> None:
    """Train a fit's replicas, and send it the result."""
    try:
        result = executor.run_round(request)
    except Exception as error:  # noqa: BLE001  (after any error, the other fits continue)
        run.resume(error)
        return
    run.resume(result)
