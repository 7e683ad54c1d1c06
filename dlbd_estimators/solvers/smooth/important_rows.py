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
from dlbd_estimators.solvers.matrix_memory import holds
from dlbd_estimators.solvers.problem import Problem

#: Rows to keep, more of them for many parameters,
_ROWS = 20_000
_ROWS_PER_PARAMETER = 25
#: but no more than this share of all;
_SHARE = 1 / 4
#: and no more than the most of these: a share of a block's rows, so many bytes, and the bytes of so
#: many Hessians, which are few where a row is wide;
_SHARE_OF_BLOCK = 1 / 4
_NBYTES = 5 * 2**18
_HESSIANS = 8
#: and never more bytes than this.
_MOST_NBYTES = 2**24
#: With fewer rows a parameter there is no use in them.
_FEWEST_PER_PARAMETER = 10
#: float32 has few numbers much below this.
_LEAST_SPREAD = 1e-30
#: A row has at least this share of the mean curvature in its score.
_LEAST_CURVATURE = 0.1
#: Random directions that stand for a norm.
_DIRECTIONS = 16
#: Rows are looked at with so many times the wanted number in mind: scores are not known before, and
#: sum to less than the bound on them.
_SLACK = 1.25
#: Arrays as wide as the parameters that are there at a time.
_TEMPORARIES = 4
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
    if not problem.samples or problem.loss.quadratic or _faint(columns):
        return None
    n_rows = most_rows(problem)
    room = packing.size**2 + 2 * n_rows * row_nbytes(packing.n_features) // 8
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
        problem.n_rows or 1,
        curvature=_LEAST_CURVATURE * outputs * _mean_curvature(mean, columns),
        seed=problem.seed,
    )


def most_rows(problem: Problem) -> int:
    """Return how many rows are kept at most, of data whose number of rows is known."""
    packing, n_rows = problem.packing, problem.n_rows or 0
    row = row_nbytes(packing.n_features)
    nbytes = max(_NBYTES, _HESSIANS * 8 * packing.size**2)
    room = max(nbytes // row, int(_SHARE_OF_BLOCK * n_rows / max(problem.blocks.n_blocks, 1)))
    wanted = max(_ROWS, _ROWS_PER_PARAMETER * packing.size)
    return min(wanted, int(_SHARE * n_rows), room, _MOST_NBYTES // row)


def _faint(columns: Columns) -> bool:
    """Tell whether a column varies too little for float32."""
    spread = np.sqrt(columns.variance)
    return bool(np.any((spread > 0) & (spread < _LEAST_SPREAD)))


def _mean_curvature(hessian: FloatArray, columns: Columns) -> float:
    """Return about the mean curvature of rows: a Hessian has second moments times that."""
    square = columns.variance + columns.mean**2
    varies = square > 0
    weighted = np.diag(hessian)[: len(square)][varies]
    return float(np.median(weighted / square[varies])) if varies.any() else 0.0


def enough_of(problem: Problem, rows: ImportantRows | None) -> ImportantRows | None:
    """Return the rows that a pass has kept, if they are enough to be of use and fit float32."""
    if rows is None or len(rows.score) < _FEWEST_PER_PARAMETER * problem.packing.size:
        return None
    return rows if np.isfinite(rows.X).all() else None


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
    problem: Problem, rows: ImportantRows, here: Evaluation, step: FloatArray, metric: Factor
) -> Corrected | None:
    """Correct a Newton step; None where the rows speak against more than half of it.

    Parameters
    ----------
    problem : Problem
        Of known total weight.
    rows : ImportantRows
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
    kernel = LinearKernel(problem.loss, problem.packing, Order.HESSIAN)  # the rows are centred
    weight = rows.weight / (rows.chance * total)
    # A kernel would take larger tiles, for which this process would keep the memory.
    pieces = list(tiles(len(weight), tile_rows(_TEMPORARIES * problem.packing.size)))
    blocks = [Block(rows.X[piece], rows.y[piece], weight[piece]) for piece in pieces]

    def derivatives(point: FloatArray) -> tuple[FloatArray, FloatArray]:
        sums: LinearSums = reduce(kernel.combine, (kernel(block, point) for block in blocks))
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
    spread = np.zeros_like(hessian)
    for piece, block in zip(pieces, blocks, strict=True):
        spread += _covariance(problem, block, rows.chance[piece], here.point, whole)
    return Corrected(whole, factor.variances(spread))


def _covariance(
    problem: Problem,
    block: Block,
    chance: FloatArray,
    point: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Return V, of the remainders of some of the kept rows."""
    packing, loss = problem.packing, problem.loss
    assert block.weight is not None
    X = np.ones((block.n_rows, packing.shape[1]))
    X[:, : packing.n_features] = block.X
    features = X[:, : packing.n_features]
    before, after = (raw_predictions(features, *packing.unpack(at)) for at in (point, point + step))
    from_here = loss.evaluate(block.y, before, None, Order.HESSIAN)
    there = loss.evaluate(block.y, after, None, Order.GRADIENT)
    assert from_here.gradient is not None
    assert from_here.curvature is not None
    assert there.gradient is not None
    left = there.gradient - from_here.gradient
    left -= loss.curvature_along(from_here.curvature, after - before)
    left *= (block.weight * np.sqrt(1.0 - chance))[:, None]
    products = (left[:, :, None] * X[:, None, :]).reshape(len(left), -1)
    return np.asarray(products.T @ products)
