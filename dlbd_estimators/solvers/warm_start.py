"""Solve a sample of the blocks first: a start so near that few full passes remain.

The minimiser over a share f of n rows lies at a Newton decrement of about
``sqrt(p (1/f - 1) / n)`` from the whole's: for millions of rows within the region where
Newton's method converges quadratically. The sample grows in stages (BET, arXiv 1704.06731):
the first takes a few steps, and each larger one then needs only one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.execution.passes import Asks
from dlbd_estimators.objectives.arrays import FloatArray, Order
from dlbd_estimators.objectives.centring import Centring
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor, is_rough
from dlbd_estimators.solvers.objective import Objective
from dlbd_estimators.solvers.sampling import Sample

#: A sample that takes longer does not determine the parameters well enough to help.
_MAX_ITER = 15


@dataclass(frozen=True)
class WarmStart:
    """The solution of the largest sample.

    Attributes
    ----------
    parameters : ndarray
        Its minimiser, to about the sample's own accuracy.
    hessian : ndarray
        The sample's Hessian just before.
    columns : Columns
        The sample's column moments.
    """

    parameters: FloatArray
    hessian: FloatArray
    columns: Columns


def warm_start(objective: Objective, label: str) -> Asks[tuple[Objective, WarmStart | None]]:
    """Solve a sample of the blocks by Newton's method.

    Returns
    -------
    objective : Objective
        With what the samples have taught.
    start : WarmStart or None
        None where the data are too few to sample, or where the sample alone does not
        determine the parameters (its classes are separable, say).
    """
    solved = None
    parameters: FloatArray = np.zeros(objective.packing.size)
    for indices in objective.samples:
        objective, solved = yield from _newton(objective, parameters, indices, label)
        if solved is None:
            return objective, None
        parameters = solved[0]
    if solved is None:
        return objective, None
    evaluation = solved[1]
    assert evaluation.hessian is not None
    assert evaluation.columns is not None
    return objective, WarmStart(parameters, evaluation.hessian, evaluation.columns)


def _newton(
    objective: Objective, start: FloatArray, indices: Sample, label: str
) -> Asks[tuple[Objective, tuple[FloatArray, Evaluation] | None]]:
    # Beyond its own sampling error a sample says nothing about the whole.
    enough = 0.1 * objective.sampling_error(indices)
    parameters, base, direction, slope, scale = start, np.inf, np.zeros_like(start), 0.0, 1.0
    dtype = "float32"
    for _ in range(_MAX_ITER):
        evaluation = yield from objective.evaluate(
            parameters, Order.HESSIAN, label, indices=indices, hessian_dtype=dtype, moments=True
        )
        objective = objective.at(evaluation.known)
        if not np.isfinite(evaluation.value):  # a sample that weighs nothing
            return objective, None
        if objective.separated(evaluation):
            return objective, None
        if evaluation.value > base - 1e-4 * scale * slope:
            scale /= 2
            parameters = parameters - scale * direction
            continue
        assert evaluation.hessian is not None
        assert evaluation.columns is not None
        centring = Centring(objective.packing, evaluation.columns.mean)
        factor = Factor.of(evaluation.hessian, centring)
        if is_rough(factor, dtype):
            dtype = "float64"
            continue
        direction = objective.without_shift(-factor.solve(evaluation.gradient))
        slope = -float(direction @ evaluation.gradient)
        base, scale = evaluation.value, 1.0
        parameters = parameters + direction
        # The step just made leaves about the square of this decrement.
        if slope <= enough:
            return objective, (parameters, evaluation)
    return objective, None
