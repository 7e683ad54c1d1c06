"""Sums that a fit keeps, from which the classical covariance is computed without the rows.

They are those of :mod:`dlbd_estimators.kernels.sandwich` without the squared scores, at the
solution: ``8 n_coefficients^2`` bytes. The moments of a least-squares fit determine them if they
have the digits of float64. All other fits need one more pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.parameters import check_flag
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.exceptions import MatrixTooLarge
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sandwich import Estimate, SandwichKernel, SandwichSums
from dlbd_estimators.linear_model.fit import solve
from dlbd_estimators.solvers import Problem, Solution
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.matrix_memory import sweep_fits
from dlbd_estimators.solvers.moment_scores import about_zero
from dlbd_estimators.solvers.smooth.gram import GramState


def check_storable(estimator: Any, *, reason: str | None) -> None:
    """Check ``store_covariance``, and whether a model has a covariance that could be stored.

    Parameters
    ----------
    estimator : estimator
        The estimator, with the parameter ``store_covariance``.
    reason : str or None
        Why the model has no covariance; None if it has one.

    Raises
    ------
    ValueError
        ``store_covariance`` is not a bool, or it is True and there is a reason.
    """
    check_flag(estimator, "store_covariance")
    if estimator.store_covariance and reason is not None:
        raise ValueError(
            f"store_covariance=True is for models whose coefficients have standard errors, but "
            f"{reason}. Set it to False."
        )


def check_room(executor: Executor, blocks: Blocks, width: int, n_groups: int = 0) -> None:
    """Check before X is read that the sums fit in the memory of a worker.

    Parameters
    ----------
    executor : Executor
        Runs the pass.
    blocks : Blocks
        The rows.
    width, n_groups : int
        Number of coefficients, and of groups whose scores are summed.

    Raises
    ------
    ValueError
        There are too many coefficients.
    MatrixTooLarge
        A worker has too little memory.
    """
    if width > LARGEST_HESSIAN + 1:
        raise ValueError(
            f"The model has {width} coefficients, but a covariance can have at most "
            f"{LARGEST_HESSIAN} and the intercept. Fit a model of fewer columns or classes."
        )
    n_entries = 2 * width**2 + n_groups * width
    if not sweep_fits(executor, blocks, n_entries):
        raise MatrixTooLarge(
            f"The sums for {width} coefficients and {n_groups} groups take "
            f"{8 * n_entries / 2**20:.0f} MiB in each task of a pass, which is more memory than a "
            f"worker has. Give the workers more memory per thread, or use fewer groups or columns."
        )


def against_first(packing: Packing, parameters: FloatArray) -> tuple[Packing, FloatArray]:
    """Return a model's packing and parameters without the reference class.

    With several classes, the parameters are the differences from those of the first class. A model
    of one output stays as it is.
    """
    rows = parameters.reshape(packing.shape)
    if len(rows) == 1:
        return packing, parameters
    reduced = Packing(len(rows) - 1, packing.n_features, packing.fit_intercept)
    return reduced, np.asarray((rows[1:] - rows[0]).ravel())


def solve_and_store(
    estimator: Any,
    executor: Executor,
    problem: Problem,
    start: FloatArray | None = None,
    **options: Any,
) -> None:
    """Minimise an objective; with ``store_covariance``, keep the sums in the fitted estimator.

    Parameters
    ----------
    estimator, executor, problem, start, **options
        Arguments of :func:`dlbd_estimators.linear_model.fit.solve`.

    Raises
    ------
    ValueError
        ``store_covariance`` is True and there are several targets, or too many coefficients.
    MatrixTooLarge
        A worker has too little memory for the sums.
    """
    vars(estimator).pop("_stored", None)
    store = bool(getattr(estimator, "store_covariance", False))
    if store:
        if problem.packing.n_outputs > 1 and not problem.loss.coupled:
            raise ValueError(
                f"store_covariance=True is for one target, but y has {problem.packing.n_outputs}. "
                f"Fit a model for each target, or set it to False."
            )
        reduced, _ = against_first(problem.packing, np.zeros(problem.packing.size))
        check_room(executor, problem.blocks, reduced.size)
    solution = solve(estimator, executor, problem, start, **options)
    if store:
        estimator._stored, n_passes = _sums(executor, problem, solution)
        estimator.n_passes_ += n_passes


def _sums(executor: Executor, problem: Problem, solution: Solution) -> tuple[SandwichSums, float]:
    """Return the sums at a solution, and the number of passes that they need."""
    packing, parameters = against_first(problem.packing, solution.parameters)
    side = packing.n_features + packing.n_outputs
    state = solution.state
    moments = state.moments if isinstance(state, GramState) else None
    # A fit in fewer coordinates than columns has moments of these coordinates.
    in_columns = moments is not None and len(moments.products) == side
    if moments is not None and in_columns and moments.epsilon <= np.finfo(np.float64).eps:
        return sums_of_moments(packing, parameters, moments), 0.0
    kernel = SandwichKernel(problem.loss, packing)
    estimate, name = Estimate(parameters), f"{problem.name}-covariance"
    sums: SandwichSums = executor.map_reduce(kernel, estimate, problem.blocks, name=name).partial
    return sums, 1.0


def sums_of_moments(packing: Packing, parameters: FloatArray, moments: Moments) -> SandwichSums:
    """Return the sums from which the classical covariance of a regression is computed.

    The sum of squared errors is computed from the moments as a difference. If errors are 10^-k of
    the targets' spread, it loses 2k of 16 digits.

    Parameters
    ----------
    packing : Packing
        Order of the parameters; it has one output.
    parameters : ndarray of shape (n_parameters,)
        The fitted regression.
    moments : Moments
        Centred second moments of [X, y].
    """
    n = packing.n_features
    coef, intercept = packing.unpack(parameters)
    mean = moments.mean
    centre = mean[:n] if packing.fit_intercept else np.zeros(n)
    moments_used = moments if packing.fit_intercept else about_zero(moments)
    gram, cross = moments_used.products[:n, :n], moments_used.products[:n, n]
    bread = np.zeros((packing.size, packing.size))
    bread[:n, :n] = gram
    gradient = np.zeros(packing.size)
    gradient[:n] = gram @ coef[0] - cross
    squares = moments_used.products[n, n] - coef[0] @ (2.0 * cross - gram @ coef[0])
    if packing.fit_intercept:
        bread[n, n] = moments.weight
        gap = float(intercept[0] + coef[0] @ centre - mean[n])
        gradient[n] = moments.weight * gap
        squares += moments.weight * gap**2
    return SandwichSums(
        weight=moments.weight,
        squares=float(max(squares, 0.0)),
        n_rows=moments.n_rows,
        n_present=moments.n_rows,
        n_saturated=0,
        centre=centre,
        gradient=gradient,
        bread=bread,
        meat=None,
        groups=np.zeros(0, dtype=np.intp),
        scores=np.zeros((0, packing.size)),
    )
