"""Correct a Newton step by rows kept for their importance, and tell what it leaves.

Newton's step ``d`` from ``w`` minimises a quadratic, and F bends away from it. Some rows see how
much: with S the sum over them, weighted by the inverse of their probability, the step goes to the
minimiser of the quadratic plus ``S(w + d) - S(w) - S'(w) d - d S''(w) d / 2``. Their own bias
cancels, since only terms of higher order enter, and these are small.

So is what they get wrong of them. The slope left is the sampling error of a sum of remainders
``r_i = l'(x_i (w + d)) - l'(x_i w) - l''(x_i w) x_i d``, whose covariance the same rows estimate:
``V = sum_i (1 - pi_i) (s_i r_i / pi_i)^2 x_i x_i'``. Then the coefficients' is ``H^-1 V H^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance, KeptRows
from dlbd_estimators.kernels.kernel import Block, tile_rows, tiles
from dlbd_estimators.kernels.linear import LinearKernel, LinearSums, raw_predictions
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.matrix_memory import holds
from dlbd_estimators.solvers.problem import Problem

#: Rows to keep, more of them for many parameters,
_ROWS = 20_000
_ROWS_PER_PARAMETER = 25
#: but no more than this share of all, and than this of numbers;
_SHARE = 1 / 4
_MOST_ENTRIES = 2**22
#: with fewer rows a parameter there is no use in them.
_FEWEST_PER_PARAMETER = 10
#: A row has at least this share of the mean curvature in its score.
_LEAST_CURVATURE = 0.1
#: Random directions that stand for a norm.
_DIRECTIONS = 16
#: Rows are looked at with so many times the wanted number in mind: scores are not known before.
_SLACK = 3.0
#: Steps on the kept rows, and the share of the first one that the last may have.
_MAX_STEPS = 8
_SETTLED = 1e-3


def rule_of(
    problem: Problem, hessian: FloatArray, columns: Columns, weight: float
) -> Importance | None:
    """Return the rule to keep rows by; None where it does not pay, or the Hessian is singular.

    Parameters
    ----------
    problem : Problem
        Whose rows.
    hessian : ndarray
        About that of the point at which the rows will be looked at.
    columns : Columns
        Their moments.
    weight : float
        About the sum of all weights.
    """
    packing = problem.packing
    outputs, width = packing.shape
    if not problem.samples or problem.loss.quadratic:
        return None
    n_rows = max(_ROWS, _ROWS_PER_PARAMETER * packing.size)
    n_rows = min(n_rows, int(_SHARE * (problem.n_rows or 0)), _MOST_ENTRIES // width)
    room = packing.size**2 + 2 * n_rows * width
    if n_rows < _FEWEST_PER_PARAMETER * packing.size or not holds(problem, room):
        return None
    # One metric for all outputs: they say the same of where rows lie.
    square = hessian.reshape(outputs, width, outputs, width)
    mean = np.einsum("kikj->ij", square) / outputs
    centring = Centring(Packing(1, packing.n_features, packing.fit_intercept), columns.mean)
    factor = Factor.of(mean, centring)
    if factor.inverse is not None:
        return None
    random = np.eye(width)
    if width > _DIRECTIONS:
        drawn = np.random.default_rng(problem.seed).normal(size=(width, _DIRECTIONS))
        random = drawn / np.sqrt(_DIRECTIONS)
    directions = linalg.solve_triangular(factor.cholesky.T, random, check_finite=False)
    directions *= factor.scale[:, None]
    directions = np.array([centring.parameters(column) for column in directions.T]).T
    # By the inequality of Cauchy and Schwarz the scores sum to no more than the root here.
    limit = _SLACK * n_rows / (weight * float(np.sqrt(packing.size)))
    return Importance(
        np.ascontiguousarray(directions),
        limit,
        n_rows,
        curvature=_LEAST_CURVATURE * outputs * _mean_curvature(mean, columns),
        seed=problem.seed,
    )


def _mean_curvature(hessian: FloatArray, columns: Columns) -> float:
    """Return about the mean curvature of rows: a Hessian has second moments times that."""
    square = columns.variance + columns.mean**2
    varies = square > 0
    weighted = np.diag(hessian)[: len(square)][varies]
    return float(np.median(weighted / square[varies])) if varies.any() else 0.0


def enough_of(problem: Problem, rule: Importance | None, rows: KeptRows | None) -> KeptRows | None:
    """Return the rows that a pass has kept by a rule, if they are enough to be of use."""
    if rule is None or rows is None:
        return None
    rows = rows.least(rule.n_rows)
    return rows if len(rows.score) >= _FEWEST_PER_PARAMETER * problem.packing.size else None


@dataclass(frozen=True)
class Corrected:
    """A step that goes further than Newton's.

    Attributes
    ----------
    step : ndarray
        In the packed order.
    variance : ndarray
        Of each parameter, by the sampling of the kept rows.
    """

    step: FloatArray
    variance: FloatArray


def corrected(
    problem: Problem, rows: KeptRows, here: Evaluation, step: FloatArray, metric: Factor
) -> Corrected | None:
    """Correct a Newton step; None where the rows speak against more than half of it.

    Parameters
    ----------
    problem : Problem
        Of known total weight.
    rows : KeptRows
        Of all blocks.
    here : Evaluation
        Where the step begins, with a Hessian.
    step : ndarray
        Newton's.
    metric : Factor
        Of the Hessian there.
    """
    hessian, total = here.hessian, problem.total_weight
    assert hessian is not None
    assert total is not None
    centre = problem.centre if problem.centre.any() else None
    kernel = LinearKernel(problem.loss, problem.packing, Order.HESSIAN, centre=centre)
    block = Block(rows.X, rows.y, rows.weight / (rows.chance * total))

    def derivatives(point: FloatArray) -> tuple[FloatArray, FloatArray]:
        sums: LinearSums = kernel(block, point)
        assert sums.gradient is not None
        assert sums.hessian is not None
        return sums.gradient, sums.hessian

    gradient, curvature = derivatives(here.point)
    whole, first = step, 0.0
    length = float(np.sqrt(max(float(step @ hessian @ step), 0.0)))
    for _ in range(_MAX_STEPS):
        gradient_there, curvature_there = derivatives(here.point + whole)
        slope = here.gradient + hessian @ whole
        slope += gradient_there - gradient - curvature @ whole
        factor = Factor.of(hessian + curvature_there - curvature, metric.centring)
        move = problem.without_shift(-factor.solve(slope))
        size = float(np.sqrt(max(float(move @ hessian @ move), 0.0)))
        if not size <= 0.5 * length:
            return None
        whole, first = whole + move, first or size
        if size <= _SETTLED * first:
            break
    spread = _covariance(problem, kernel, block, rows.chance, here.point, whole)
    return Corrected(whole, factor.variances(spread))


def _covariance(
    problem: Problem,
    kernel: LinearKernel,
    block: Block,
    chance: FloatArray,
    point: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Return V, of the remainders of the kept rows."""
    packing, loss = problem.packing, problem.loss
    width = packing.shape[1]
    found = np.zeros((packing.size, packing.size))
    assert block.weight is not None
    scale = block.weight * np.sqrt(1.0 - chance)
    for rows in tiles(len(chance), tile_rows(packing.size)):
        X = np.ones((len(scale[rows]), width))
        X[:, : packing.n_features] = block.X[rows]
        if kernel.centre is not None:
            X[:, : packing.n_features] -= kernel.centre
        y, features = block.y[rows], X[:, : packing.n_features]
        before, after = (
            raw_predictions(features, *packing.unpack(at)) for at in (point, point + step)
        )
        from_here = loss.evaluate(y, before, None, Order.HESSIAN)
        there = loss.evaluate(y, after, None, Order.GRADIENT)
        assert from_here.gradient is not None
        assert from_here.curvature is not None
        assert there.gradient is not None
        left = there.gradient - from_here.gradient
        left -= loss.curvature_along(from_here.curvature, after - before)
        left *= scale[rows, None]
        products = (left[:, :, None] * X[:, None, :]).reshape(len(left), -1)
        found += products.T @ products
    return found
