"""The one loop that drives solvers: it runs what they ask for, and several fits share a sweep.

Passes over the same blocks share one; a round of a network's replicas is run by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.passes import Pass, Round
from dlbd_estimators.solvers.fit import Fit, FitRun, Solution
from dlbd_estimators.solvers.matrix_memory import sweep_holds
from dlbd_estimators.solvers.overflow import is_overflow


def minimize(executor: Executor, fit: Fit) -> Solution:
    """Drive a solver until it meets ``tol``.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    fit : Fit
        What to minimise, and how.

    Raises
    ------
    Diverged
        The objective became infinite or NaN on finite data.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before it met ``tol``, and not because ``on_step`` asked for it.
    UserWarning
        The user interrupted a solver that had something to answer by then.
    """
    [outcome] = minimize_together(executor, [fit])
    try:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
    finally:
        del outcome  # its traceback holds this frame, which would keep it, and the data with it


def minimize_together(executor: Executor, fits: Sequence[Fit]) -> list[Solution | Exception]:
    """Drive several solvers, and read the data once for what they ask at the same time.

    Each fit goes the way that it would go alone, to the last bit; its history counts the passes
    that it asked for. One that fails leaves the others to go on, unless their data are bad.

    Parameters
    ----------
    executor : Executor
        Runs the sweeps.
    fits : sequence of Fit
        Those whose objectives have the very same blocks share sweeps.

    Returns
    -------
    list of Solution or Exception
        What :func:`minimize` returns or raises for each, in order.

    Warns
    -----
    ConvergenceWarning
        As :func:`minimize` does for each.
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
    """Run what is asked for until a step of some fit has ended."""
    with _undisturbed():
        for run in running:
            if run.asked is None:
                run.go_on()
        while all(run.asked for run in running):
            _serve_smallest(executor, running)
    for run in running:
        if run.asked is None and run.outcome is None:
            run.end_step()


def _serve_smallest(executor: Executor, running: Sequence[FitRun]) -> None:
    """Run the smallest sweep that was asked for; or a round, which no two fits share.

    Those who ask for more of the data wait until nobody asks for less: by then they are more,
    and one reading of all blocks serves them all.
    """
    first = min(running, key=lambda run: run.share)
    if isinstance(first.asked, Round):
        _serve_round(executor, first, first.asked)
        return
    blocks, together, n_entries = first.blocks, [first], first.n_entries
    for run in running:
        same = run.blocks is blocks and run.indices == first.indices
        same = same and isinstance(run.asked, Pass)
        more = n_entries + run.n_entries
        if same and run is not first and sweep_holds(executor, blocks, more):
            together.append(run)
            n_entries = more
    _serve(executor, together)


def _serve(executor: Executor, together: Sequence[FitRun]) -> None:
    """Run one sweep, and tell each fit what it brings."""
    passes = [run.asked for run in together if isinstance(run.asked, Pass)]
    try:
        results = executor.sweep(passes, together[0].blocks)
    except Exception as error:  # noqa: BLE001  (whatever it is, other fits go on)
        # Numbers overflow because of one fit's parameters; any other error comes from the data.
        for run in together:
            if is_overflow(error) and len(together) > 1:
                _serve(executor, [run])
            else:
                run.go_on(error)
        return
    for run, result in zip(together, results, strict=True):
        run.go_on(result)


def _serve_round(executor: Executor, run: FitRun, asked: Round) -> None:
    """Train a fit's replicas, and send it the result."""
    try:
        result = executor.run_round(asked)
    except Exception as error:  # noqa: BLE001  (whatever it is, other fits go on)
        run.go_on(error)
        return
    run.go_on(result)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Set what holds while a solver computes, but not while its caller's hooks run."""
    # Small dense solves happen between passes; they too must not depend on the number of
    # cores. The driver's own check reports an overflow; NumPy's warnings are not needed.
    with single_threaded_blas, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yield
