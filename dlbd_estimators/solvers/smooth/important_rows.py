"""Correct a Newton step with rows kept for their importance, and estimate the remaining error.

Newton's step ``d`` from ``w`` minimises a quadratic model of F. Kept rows estimate how far F
deviates from this model. Let S be the sum of their losses, weighted by the inverse of their
probability of being kept. The corrected step leads to the minimiser of the quadratic model plus
``S(w + d) - S(w) - S'(w) d - d S''(w) d / 2``. Only terms of third and higher order are estimated
from the rows, so that the sampling errors of lower orders cancel.

The terms of higher order are small, and so are their sampling errors. The gradient that remains is
the sampling error of a sum of remainders ``r_i = l'(x_i (w + d)) - l'(x_i w) - l''(x_i w) x_i d``.
The same rows estimate its covariance, ``V = sum_i (1 - pi_i) (s_i r_i / pi_i)^2 x_i x_i'``. The
covariance of the coefficients is then ``H^-1 V H^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance, ImportantRows, row_nbytes
from dlbd_estimators.kernels.kernel import Block, tile_rows, tiles
from dlbd_estimators.kernels.linear import LinearKernel, LinearSums, raw_predictions
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.gauge import fix_gauge
from dlbd_estimators.solvers.matrix_memory import matrices_fit
from dlbd_estimators.solvers.problem import Problem

#: Number of rows to keep, or for many parameters the number for each parameter.
_ROWS = 20_000
_ROWS_PER_PARAMETER = 25
#: Largest share of all rows that is kept.
_SHARE = 1 / 4
#: The kept rows fit in the largest of three limits: this share of the rows of a block, this many
#: bytes, and the bytes of this many Hessians (which are few rows if a row is wide).
_SHARE_OF_BLOCK = 1 / 4
_NBYTES = 5 * 2**18
_HESSIANS = 8
#: The number of bytes if all rows are in memory. Twice as many rows often save a pass.
_NBYTES_IN_MEMORY = 5 * 2**20
#: The kept rows never have more bytes than this.
_MOST_NBYTES = 2**24
#: With fewer rows for each parameter than this, kept rows are of no use.
_FEWEST_PER_PARAMETER = 10
#: Standard deviations much below this cannot be represented in float32; squares of numbers below
#: the second one have fewer digits there.
_LEAST_SPREAD, _LEAST_SQUARED = 1e-30, 1e-16
#: The curvature of a row counts in its score as at least this share of the mean curvature.
_LEAST_CURVATURE = 0.1
#: Number of random directions by which norms are estimated.
_DIRECTIONS = 16
#: Factor on the number of rows in the limit on the priorities: the sum of the scores is not known
#: before the pass, and is smaller than the bound that is used for it.
_SLACK = 1.25
#: Number of arrays as wide as the parameters that are in memory at a time.
_TEMPORARIES = 4
#: Largest number of steps on the kept rows, and the length of the last one relative to the first.
_MAX_STEPS = 8
_SETTLED = 1e-3
#: A step on the kept rows is not shortened to less than this share.
_SHORTEST = 2.0**-10


def importance_rule(
    problem: Problem,
    hessian: FloatArray,
    columns: Columns,
    weight: float,
    nbytes: int | None = None,
) -> Importance | None:
    """Return the rule by which a pass keeps rows.

    It is None if keeping rows does not pay, or if the Hessian is singular.

    Parameters
    ----------
    problem : Problem
        The problem whose rows are kept.
    hessian : ndarray
        Approximate Hessian at the point at which the pass will keep rows.
    columns : Columns
        Moments of the columns.
    weight : float
        Approximate sum of all weights.
    nbytes : int or None
        Limit on the bytes of the kept rows, if they are many for a block and for the Hessian; None
        means the default, which is higher for rows in memory.
    """
    packing = problem.packing
    outputs, width = packing.shape
    if not problem.samples or problem.loss.quadratic or underflows_float32(columns):
        return None
    n_rows = most_rows(problem, nbytes)
    room = packing.size**2 + 2 * n_rows * row_nbytes(packing.n_features) // 8
    if n_rows < _FEWEST_PER_PARAMETER * packing.size or not matrices_fit(problem, room):
        return None
    # One metric serves for all outputs: the norm of a row is about the same for each of them.
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
    # By the Cauchy-Schwarz inequality, the scores sum to at most this root times the weight.
    limit = _SLACK * n_rows / (weight * float(np.sqrt(packing.size)))
    return Importance(
        np.ascontiguousarray(directions),
        limit,
        n_rows,
        problem.n_rows or 1,
        curvature=_LEAST_CURVATURE * outputs * _mean_curvature(mean, columns),
        seed=problem.seed,
    )


def most_rows(problem: Problem, nbytes: int | None = None) -> int:
    """Return the largest number of rows that is kept; the number of all rows must be known."""
    packing, n_rows = problem.packing, problem.n_rows or 0
    row = row_nbytes(packing.n_features)
    if nbytes is None:
        nbytes = _NBYTES_IN_MEMORY if problem.blocks.in_memory else _NBYTES
    nbytes = max(nbytes, _HESSIANS * 8 * packing.size**2)
    room = max(nbytes // row, int(_SHARE_OF_BLOCK * n_rows / max(problem.blocks.n_blocks, 1)))
    wanted = max(_ROWS, _ROWS_PER_PARAMETER * packing.size)
    return min(wanted, int(_SHARE * n_rows), room, _MOST_NBYTES // row)


def underflows_float32(columns: Columns) -> bool:
    """Return whether a column varies too little for float32."""
    return _varies_less_than(_LEAST_SPREAD, columns)


def squares_underflow_float32(columns: Columns) -> bool:
    """Return whether a column varies too little for a Hessian that is formed in float32."""
    return _varies_less_than(_LEAST_SQUARED, columns)


def _varies_less_than(least: float, columns: Columns) -> bool:
    spread = np.sqrt(columns.variance)
    return bool(np.any((spread > 0) & (spread < least)))


def _mean_curvature(hessian: FloatArray, columns: Columns) -> float:
    """Return the approximate mean curvature of the rows: the Hessian over the second moments."""
    square = columns.variance + columns.mean**2
    varies = square > 0
    weighted = np.diag(hessian)[: len(square)][varies]
    return float(np.median(weighted / square[varies])) if varies.any() else 0.0


def usable_rows(problem: Problem, rows: ImportantRows | None) -> ImportantRows | None:
    """Return the rows that a pass has kept if they are enough and finite in float32, else None."""
    if rows is None or len(rows.score) < _FEWEST_PER_PARAMETER * problem.packing.size:
        return None
    return rows if np.isfinite(rows.X).all() else None


def estimated_hessian(problem: Problem, rows: ImportantRows, point: FloatArray) -> FloatArray:
    """Return the Hessian of F that the kept rows estimate.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    rows : ImportantRows
        The kept rows of all blocks.
    point : ndarray
        The parameters at which the Hessian is estimated.
    """
    total = problem.total_weight
    assert total is not None
    hessian = _sums(problem, [block for _, block in _weighted(problem, rows, total)], point)[2]
    shared = 1.0 if problem.penalty.of_mean else total
    hessian[np.diag_indices_from(hessian)] += problem.penalty.diagonal(problem.packing) / shared
    if problem.loss.coupled:
        fix_gauge(hessian, problem.packing)
    return np.asarray(hessian)


def _weighted(problem: Problem, rows: ImportantRows, total: float) -> list[tuple[slice, Block]]:
    """Return the kept rows in tiles, with weights that make their sums estimates of means.

    The kernel alone would use larger tiles, whose memory this process would keep.
    """
    weight = rows.weight / (rows.probability * total)
    pieces = tiles(len(weight), tile_rows(_TEMPORARIES * problem.packing.size))
    return [(piece, Block(rows.X[piece], rows.y[piece], weight[piece])) for piece in pieces]


@dataclass(frozen=True)
class CorrectedStep:
    """A Newton step corrected by kept rows.

    Attributes
    ----------
    step : ndarray
        The corrected step, in the packed order.
    variance : ndarray
        Variance of each parameter due to the sampling of the kept rows.
    """

    step: FloatArray
    variance: FloatArray


def corrected(
    problem: Problem, rows: ImportantRows, evaluation: Evaluation, step: FloatArray, metric: Factor
) -> CorrectedStep | None:
    """Return a corrected Newton step, or None if the kept rows do not lead to one.

    The model of F is minimised by Newton's method, which begins with the given step. A step that
    does not decrease the model enough is halved: far from the minimum, Newton's step may be several
    times too long, for example for a category whose rows all seem to have the same class.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    rows : ImportantRows
        The kept rows of all blocks.
    evaluation : Evaluation
        Evaluation at the beginning of the step, with a Hessian.
    step : ndarray
        Newton's step.
    metric : Factor
        Factor of this Hessian.
    """
    hessian, total = evaluation.hessian, problem.total_weight
    assert hessian is not None
    assert total is not None
    blocks = _weighted(problem, rows, total)
    model = _Model(problem, [block for _, block in blocks], evaluation, hessian)
    corrected_step, first_size = np.zeros_like(step), 0.0
    value, slope, factor = 0.0, evaluation.gradient, metric
    for number in range(_MAX_STEPS + 1):
        correction = step if number == 0 else problem.without_shift(-factor.solve(slope))
        size = float(np.sqrt(max(float(correction @ hessian @ correction), 0.0)))
        if number == 1:
            first_size = size
        if number and size <= _SETTLED * first_size:  # too short to be too long
            corrected_step = corrected_step + correction
            break
        share = 1.0
        while True:
            next_step = corrected_step + share * correction
            next_value, slope_there, curvature = model.derivatives(next_step)
            decrease = -1e-4 * share * float(slope @ correction)
            if next_value <= value - decrease + problem.rounding(evaluation.value):
                break
            share /= 2
            if share < _SHORTEST:
                return None
        corrected_step, value, slope = next_step, next_value, slope_there
        factor = Factor.of(curvature, metric.centring)
    spread = np.zeros_like(hessian)
    for piece, block in blocks:
        spread += _covariance(
            problem, block, rows.probability[piece], evaluation.point, corrected_step
        )
    return CorrectedStep(corrected_step, factor.variances(spread))


class _Model:
    """A model of F about a point: quadratic, with terms of higher order from kept rows.

    Parameters
    ----------
    problem : Problem
        Provides the loss.
    blocks : list of Block
        The kept rows.
    evaluation : Evaluation
        Evaluation at the point.
    hessian : ndarray
        Hessian at the point.
    """

    def __init__(
        self, problem: Problem, blocks: list[Block], evaluation: Evaluation, hessian: FloatArray
    ) -> None:
        self._problem, self._blocks = problem, blocks
        self._point, self._gradient, self._hessian = evaluation.point, evaluation.gradient, hessian
        self._of_rows = _sums(problem, blocks, evaluation.point)

    def derivatives(self, step: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the change of the model along a step, and its gradient and Hessian there."""
        value, gradient, curvature = self._of_rows
        value_there, gradient_there, curvature_there = _sums(
            self._problem, self._blocks, self._point + step
        )
        bend = curvature @ step
        change = float(step @ (self._gradient + 0.5 * (self._hessian @ step)))
        change += value_there - value - float(step @ (gradient + 0.5 * bend))
        slope = self._gradient + self._hessian @ step + gradient_there - gradient - bend
        return change, slope, self._hessian + curvature_there - curvature


def _sums(
    problem: Problem, blocks: list[Block], point: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the summed loss of kept rows at a point, its gradient and its Hessian."""
    kernel = LinearKernel(problem.loss, problem.packing, Order.HESSIAN)  # the rows are centred
    sums: LinearSums = reduce(kernel.combine, (kernel(block, point) for block in blocks))
    assert sums.gradient is not None
    assert sums.hessian is not None
    return sums.value, sums.gradient, sums.hessian


def _covariance(
    problem: Problem,
    block: Block,
    probability: FloatArray,
    point: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Return the sum V over some of the kept rows."""
    packing, loss = problem.packing, problem.loss
    assert block.weight is not None
    X = np.ones((block.n_rows, packing.shape[1]))
    X[:, : packing.n_features] = block.X
    features = X[:, : packing.n_features]
    before, after = (raw_predictions(features, *packing.unpack(at)) for at in (point, point + step))
    loss_before = loss.evaluate(block.y, before, None, Order.HESSIAN)
    loss_after = loss.evaluate(block.y, after, None, Order.GRADIENT)
    assert loss_before.gradient is not None
    assert loss_before.curvature is not None
    assert loss_after.gradient is not None
    remainders = loss_after.gradient - loss_before.gradient
    remainders -= loss.curvature_along(loss_before.curvature, after - before)
    remainders *= (block.weight * np.sqrt(1.0 - probability))[:, None]
    products = (remainders[:, :, None] * X[:, None, :]).reshape(len(remainders), -1)
    return np.asarray(products.T @ products)
