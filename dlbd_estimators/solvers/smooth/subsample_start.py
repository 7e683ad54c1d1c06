"""Solve a sample of the blocks first: from its solution, few full passes are needed.

The minimiser over a share f of n rows lies at a Newton decrement of about
``sqrt(p (1/f - 1) / n)`` from the minimiser over all rows. With millions of rows this is within
the region where Newton's method converges quadratically. The sample grows in stages (BET, arXiv
1704.06731): the first stage takes a few steps, and each larger one then needs only one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor, needs_float64
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.solver import PassGenerator

#: A sample that takes more steps does not determine the parameters well enough to help.
_MAX_ITER = 15


@dataclass(frozen=True)
class WarmStart:
    """The solution of the largest sample.

    Attributes
    ----------
    parameters : ndarray
        The minimiser of the sample, to about the accuracy that the sample allows.
    hessian : ndarray
        The sample's Hessian at the point before the last step.
    columns : Columns
        The sample's column moments.
    weight : float
        Sum of all weights, estimated from the sample.
    """

    parameters: FloatArray
    hessian: FloatArray
    columns: Columns
    weight: float


def warm_start(
    problem: Problem, label: str, samples: tuple[Sample, ...]
) -> PassGenerator[tuple[Problem, WarmStart | None]]:
    """Solve a sample of the blocks by Newton's method, in stages.

    Returns
    -------
    problem : Problem
        The problem with the facts about the data that the samples have shown.
    start : WarmStart or None
        None if the data are too few to sample, or if the sample alone does not determine the
        parameters (for example, because its classes are separable).
    """
    solved = None
    parameters: FloatArray = np.zeros(problem.packing.size)
    for indices in samples:
        problem, solved = yield from _newton(problem, parameters, indices, label)
        if solved is None:
            return problem, None
        parameters = solved[0]
    if solved is None:
        return problem, None
    evaluation = solved[1]
    assert evaluation.hessian is not None
    assert evaluation.columns is not None
    return problem, WarmStart(parameters, evaluation.hessian, evaluation.columns, evaluation.weight)


def _newton(
    problem: Problem, start: FloatArray, indices: Sample, label: str
) -> PassGenerator[tuple[Problem, tuple[FloatArray, Evaluation] | None]]:
    # A sample determines the minimiser over all rows only to its sampling error.
    enough = 0.1 * problem.sampling_error(indices)
    parameters, base, direction, slope, scale = start, np.inf, np.zeros_like(start), 0.0, 1.0
    dtype = "float32"
    at_zero = np.inf if problem.value_at_zero is None else problem.value_at_zero
    for _ in range(_MAX_ITER):
        evaluation = yield from problem.evaluate(
            parameters, Order.HESSIAN, label, indices=indices, hessian_dtype=dtype, moments=True
        )
        problem = problem.with_known(evaluation.known)
        if not np.isfinite(evaluation.value):  # all weights of the sample are zero
            return problem, None
        if problem.separates_rows(evaluation):
            return problem, None
        if base == np.inf and evaluation.value > at_zero and parameters.any():
            # The smaller sample was misleading. For example, the data are sorted by label, and it
            # held a single class.
            parameters = np.zeros_like(start)
            continue
        if evaluation.value > base - 1e-4 * scale * slope:
            scale /= 2
            parameters = parameters - scale * direction
            continue
        assert evaluation.hessian is not None
        assert evaluation.columns is not None
        centring = Centring(problem.packing, evaluation.columns.mean)
        factor = Factor.of(evaluation.hessian, centring)
        if needs_float64(factor, dtype):
            dtype = "float64"
            continue
        direction = problem.without_shift(-factor.solve(evaluation.gradient))
        slope = -float(direction @ evaluation.gradient)
        base, scale = evaluation.value, 1.0
        parameters = parameters + direction
        # After this step, the decrement is about the square of this one.
        if slope <= enough:
            return problem, (parameters, evaluation)
    return problem, None
