"""Objectives over arrays in memory, and the same objectives in plain NumPy."""

from __future__ import annotations

import time
import warnings

import numpy as np
from scipy import special

from dlbd_estimators.blocks.block import Encoding, from_arrays
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfMultinomialLoss, HalfSquaredError
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.solvers import Fit, Problem, minimize


def problem_of(
    X, y, loss, *, n_outputs=1, strength=0.0, fit_intercept=True, weight=None, seed=0, l1=None
):
    """An objective over arrays in memory."""
    blocks = from_arrays(X, y, weight)
    if not isinstance(loss, HalfSquaredError):
        n_classes = n_outputs if isinstance(loss, HalfMultinomialLoss) else 2
        blocks = blocks.encoded(Encoding(np.arange(float(n_classes))))
    return Problem(
        blocks,
        loss,
        L2(strength),
        Packing(n_outputs, X.shape[1], fit_intercept),
        name="test",
        l1=l1,
        seed=seed,
        room=ThreadExecutor(1).matrix_room(blocks),
    )


def run(
    solver,
    problem,
    *,
    start=None,
    tol=1e-9,
    max_iter=5000,
    quiet=False,
    executor=None,
    clock=time.perf_counter,
    **hooks,
):
    """Minimise, on one thread unless told otherwise; a warning is an error unless `quiet`."""
    fit = Fit(solver, problem, start, tol, max_iter, clock, **hooks)
    with warnings.catch_warnings(), executor or ThreadExecutor(1) as running:
        if quiet:
            warnings.simplefilter("ignore")
        return minimize(running, fit)


def answer(asks, run):
    """What somebody finds who is told what `run` makes of each thing asked for."""
    told = None
    while True:
        try:
            told = run(asks.send(told))
        except StopIteration as end:
            return end.value


def evaluate(problem, *args, **kwargs):
    """Evaluate an objective, on one thread."""

    def run(asked):
        return executor.map_reduce(
            asked.kernel, asked.parameters, problem.blocks, name=asked.name
        ).partial

    with ThreadExecutor(1) as executor:
        return answer(problem.evaluate(*args, **kwargs), run)


def dense_derivatives(problem, X, y, parameters, weight=None):
    """F, its gradient and its Hessian by formulas on whole arrays in float64."""
    packing, loss = problem.packing, problem.loss
    s = np.ones(len(X)) if weight is None else weight
    z = np.asarray(X, dtype=np.float64)
    if packing.fit_intercept:
        z = np.column_stack([z, np.ones(len(z))])
    W = parameters.reshape(packing.shape)
    raw = z @ W.T
    k = packing.n_outputs
    if isinstance(loss, HalfSquaredError):
        target = y.reshape(len(z), -1)
        values = 0.5 * ((raw - target) ** 2).sum(axis=1)
        first = raw - target
        second = np.broadcast_to(np.eye(k), (len(z), k, k))
    elif isinstance(loss, HalfMultinomialLoss):
        p = special.softmax(raw, axis=1)
        values = special.logsumexp(raw, axis=1) - raw[np.arange(len(z)), y.astype(int)]
        first = p - np.eye(k)[y.astype(int)]
        second = p[:, :, None] * np.eye(k) - p[:, :, None] * p[:, None, :]
    else:
        p = special.expit(raw)
        values = np.logaddexp(0, raw[:, 0]) - y * raw[:, 0]
        first = p - y[:, None]
        second = (p * (1 - p))[:, :, None]
    total = s.sum()
    diagonal = problem.penalty.diagonal(packing) / total
    value = s @ values / total + 0.5 * diagonal @ parameters**2
    gradient = ((first * s[:, None]).T @ z / total).ravel() + diagonal * parameters
    hessian = np.einsum("i,ikj,ia,ib->kajb", s / total, second, z, z, optimize=True)
    hessian = hessian.reshape(packing.size, packing.size) + np.diag(diagonal)
    return value, gradient, hessian


def dense_decrement(problem, X, y, parameters, weight=None):
    """The Newton decrement, on the range of the Hessian."""
    _, gradient, hessian = dense_derivatives(problem, X, y, parameters, weight)
    return float(np.sqrt(max(gradient @ np.linalg.pinv(hessian, rcond=1e-13) @ gradient, 0.0)))
