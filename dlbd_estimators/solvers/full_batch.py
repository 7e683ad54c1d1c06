"""L-BFGS for networks: few parameters, full passes, no mini-batches.

SciPy's L-BFGS-B asks for the objective and its gradient; each answer is one pass over the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.blocks import Blocks
from dlbd_estimators.execution.base import Executor
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.network import Network
from dlbd_estimators.objectives.network_kernels import NetworkKernel, NetworkSums
from dlbd_estimators.solvers.objective import check_weight


@dataclass(frozen=True)
class FullBatch:
    """What :func:`minimize_in_passes` found.

    Attributes
    ----------
    parameters : ndarray of shape (size,)
        float64.
    value : float
        The objective there.
    n_iter : int
        Steps of the method.
    n_passes : int
        Evaluations of the objective.
    history : list of dict
        One entry a step.
    """

    parameters: FloatArray
    value: float
    n_iter: int
    n_passes: int
    history: list[dict[str, float]]


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

    Warns
    -----
    ConvergenceWarning
        ``tol`` was not reached.
    """
    history: list[dict[str, float]] = []
    n_weights = network.layers.n_weights
    n_passes = bytes_read = 0

    def evaluate(parameters: FloatArray) -> tuple[float, FloatArray]:
        nonlocal n_passes, bytes_read
        n_passes += 1
        result = executor.map_reduce(
            NetworkKernel(network), parameters, blocks, name=f"{name}-lbfgs-pass-{n_passes}"
        )
        bytes_read += result.bytes_read
        sums: NetworkSums = result.partial
        check_weight(sums.weight, sums.n_rows)
        gradient = sums.gradient / sums.weight
        spare = np.empty(n_weights)
        penalty = network.penalise(
            parameters[:n_weights], gradient[:n_weights], spare, 1.0 / sums.weight
        )
        return sums.value / sums.weight + penalty, gradient

    def record(intermediate_result: Any) -> None:
        history.append(
            {
                "iteration": len(history) + 1,
                "pass": n_passes,
                "loss": float(intermediate_result.fun),
                "seconds": clock(),
                "bytes_read": bytes_read,
            }
        )

    found = minimize(
        evaluate,
        start.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=record,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
    if not found.success:
        warnings.warn(
            f"lbfgs failed to converge after {found.nit} iteration(s): {found.message}. Increase "
            f"max_iter={max_iter} (or max_fun={max_fun}), or scale the columns of X.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return FullBatch(found.x, float(found.fun), int(found.nit), n_passes, history)
