"""L-BFGS for networks: few parameters, full passes, no mini-batches.

SciPy's L-BFGS-B asks for the objective and its gradient; each answer is one pass over the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.network_kernels import NetworkKernel, NetworkSums
from dlbd_estimators.solvers.history import Record, entries
from dlbd_estimators.solvers.problem import check_weight
from dlbd_estimators.solvers.status import warn


@dataclass(frozen=True)
class FullBatch:
    """What :func:`minimize_in_passes` found, or how far it has come.

    Attributes
    ----------
    parameters : ndarray of shape (size,)
        float64.
    value : float
        The objective there; infinite before it was evaluated.
    n_iter : int
        Steps of the method.
    n_passes : int
        Evaluations of the objective.
    records : list of Record
        One a step.
    """

    parameters: FloatArray
    value: float = np.inf
    n_iter: int = 0
    n_passes: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def history(self) -> list[dict[str, float]]:
        """The records as users get them: a dictionary a step."""
        return entries(self.records)


def minimize_in_passes(
    executor: Executor,
    network: Network,
    blocks: Blocks,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
    max_fun: int,
    name: str,
    clock: Callable[[], float],
    before_step: Callable[[FullBatch], None] | None = None,
    on_step: Callable[[FullBatch, Record], bool] | None = None,
    on_warning: Callable[[str, str], None] | None = None,
) -> FullBatch:
    """Minimise ``(sum_i s_i loss_i + alpha / 2 ||W||^2) / sum_i s_i``.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    network : Network
        Losses and penalty.
    blocks : Blocks
        The data.
    start : ndarray of shape (size,)
        Where to begin.
    tol : float
        Largest acceptable entry of the gradient.
    max_iter, max_fun : int
        Largest numbers of steps and of passes.
    name : str
        What a person reads on the dashboard.
    clock : callable
        Seconds since the fit began.
    before_step : callable, optional
        Called before the first pass of each step with the state that the step begins at. The
        last step begun may come to nothing: passes that find no better point.
    on_step : callable, optional
        Called after each step with its state and its record; True stops there.
    on_warning : callable, optional
        Called with why the fit ends and what the user is warned of, before they are.

    Warns
    -----
    ConvergenceWarning
        ``tol`` was not reached, and ``on_step`` did not ask for an end.
    """
    start = start.astype(np.float64)
    records: list[Record] = []
    state = FullBatch(start)
    n_weights = network.layers.n_weights
    n_passes = bytes_read = 0
    between, stopped = True, False

    def evaluate(parameters: FloatArray) -> tuple[float, FloatArray]:
        nonlocal n_passes, bytes_read, between
        if between and before_step is not None:
            before_step(state)
        between = False
        n_passes += 1
        result = executor.map_reduce(
            NetworkKernel(network), parameters, blocks, name=f"{name}-lbfgs-pass-{n_passes}"
        )
        bytes_read += result.cost.bytes_read
        sums: NetworkSums = result.partial
        check_weight(sums.weight, sums.n_rows)
        gradient = sums.gradient / sums.weight
        spare = np.empty(n_weights)
        penalty = network.penalise(
            parameters[:n_weights], gradient[:n_weights], spare, 1.0 / sums.weight
        )
        return sums.value / sums.weight + penalty, gradient

    def record(intermediate_result: Any) -> None:
        nonlocal state, between, stopped
        records.append(
            Record(
                iteration=len(records) + 1,
                n_passes=n_passes,
                loss=float(intermediate_result.fun),
                seconds=clock(),
                bytes_read=bytes_read,
            )
        )
        between = True
        if before_step is None and on_step is None:
            return
        x = intermediate_result.x.copy()
        state = FullBatch(x, float(intermediate_result.fun), len(records), n_passes, list(records))
        if on_step is not None:
            stopped = _asks_to_stop(on_step, state)
        if stopped:
            raise StopIteration  # SciPy's word for it

    found = minimize(
        evaluate,
        start,
        method="L-BFGS-B",
        jac=True,
        callback=record,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
    if not (found.success or stopped):
        message = (
            f"lbfgs failed to converge after {found.nit} iteration(s): {found.message}. Increase "
            f"max_iter={max_iter} (or max_fun={max_fun}), or scale the columns of X."
        )
        warn(on_warning, "max_iter", message, ConvergenceWarning)
    return FullBatch(found.x, float(found.fun), int(found.nit), n_passes, records)


def _asks_to_stop(on_step: Callable[[FullBatch, Record], bool], state: FullBatch) -> bool:
    try:
        return on_step(state, state.records[-1])
    except StopIteration as error:
        # Left alone it would end SciPy's loop as if the answer had been True.
        raise RuntimeError(
            "A callback raised StopIteration; to stop a fit, return True."
        ) from error
