"""The linear objective: a pointwise loss of ``X coef.T + intercept``, summed over a block.

Conventions
-----------
Let ``z = [x, 1]`` be the features of a row and its constant, ``W`` the parameters as
rows (see :class:`~dlbd_estimators.kernels.packing.Packing`), and ``s_i`` the weights:

    value    = sum_i s_i loss(y_i, W z_i)
    gradient = sum_i s_i loss'(y_i, W z_i) z_i^T
    hessian  = sum_i s_i loss''(y_i, W z_i) (x) z_i z_i^T

Value and gradient are computed and summed in float64 whatever the dtype of X, because
they determine the point where a solver stops. The products of the Hessian may be computed
in float32 within a tile, and are summed in float64: an error in the Hessian changes how
fast a solver reaches this point, but not the point.

With an intercept, features may be centred: ``z = [x - c, 1]``, and the intercept is the raw
prediction at ``c``. The difference of two numbers close to each other is exact, whereas products
of columns far from zero lose the spread of the columns to rounding. If no centre is known yet,
each block chooses its own, and :meth:`LinearKernel.combine` converts the sums of one block to the
centre of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring, centre_of
from dlbd_estimators.kernels.hessian import HessianSum, SparseHessianSum
from dlbd_estimators.kernels.importance import Importance, ImportantRows, RowSampler, combine_rows
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tiles
from dlbd_estimators.kernels.linear_tiles import Tiles
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.row_norms import LargestNorm
from dlbd_estimators.kernels.sparse_products import has_few_entries
from dlbd_estimators.kernels.sparse_rows import SparseTile, is_sparse


@dataclass
class LinearSums:
    """Sums over rows that a pass of :class:`LinearKernel` returns.

    Attributes
    ----------
    value : float
        Weighted sum of losses.
    weight : float
        Sum of sample weights.
    n_rows : int
        Number of rows.
    n_errors : int
        Rows without a positive margin; see :meth:`Loss.n_errors`.
    radius : float
        Largest scaled norm of a row, a maximum rather than a sum; zero if not requested.
    gradient, hessian : ndarray or None
        In the packed order.
    moments : ndarray of shape (2, n_features + n_targets) or None
        Weighted sums of the columns of [X, y] minus ``shift``, and of their squares, if requested.
    centre : ndarray of shape (n_features,) or None
        Centre of the features of ``gradient`` and ``hessian``, if each block chooses its own.
    shift : ndarray of shape (n_features + n_targets,) or None
        Centre of the columns of ``moments``.
    rows : ImportantRows or None
        Sampled rows, if requested.
    """

    value: float
    weight: float
    n_rows: int
    n_errors: int
    radius: float
    gradient: FloatArray | None = None
    hessian: FloatArray | None = None
    moments: FloatArray | None = None
    centre: FloatArray | None = None
    shift: FloatArray | None = None
    rows: ImportantRows | None = None


@dataclass(frozen=True)
class LinearKernel(Kernel[LinearSums]):
    """Value, gradient and Hessian of a linear model on one block.

    Parameters
    ----------
    loss : Loss
        The pointwise loss.
    packing : Packing
        Order of the parameters.
    order : Order
        Derivatives to return.
    hessian_dtype : str
        ``"float32"`` or ``"float64"``: the precision of a tile's Hessian products.
    ellipsoid : tuple of two ndarrays of shape (n_features,) or None
        Centre m and weights c of ``radius = max_i sqrt(1 + sum_j c_j (x_ij - m_j)^2)``, with x
        centred as the parameters expect.
    moments : bool
        Whether to return the first and second moments of the columns too.
    count_errors : bool
        Whether to count the rows without a positive margin.
    centre : ndarray of shape (n_features,) or None
        Parameters and derivatives are for features centred by this; None means the origin.
    own_centre : bool
        Whether each block chooses its own centre. Parameters are then for uncentred features, and
        derivatives for features centred by ``LinearSums.centre``.
    per_output : int
        If above zero, the Hessian is computed separately for the parameters of each output, with
        shape (n_outputs, width, width), and estimated from every ``per_output``-th row.
    importance : Importance or None
        Rule by which the pass also samples rows; needs a known centre.
    """

    loss: Loss
    packing: Packing
    order: Order = Order.GRADIENT
    hessian_dtype: str = "float64"
    ellipsoid: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)
    moments: bool = False
    count_errors: bool = False
    centre: FloatArray | None = field(default=None, repr=False)
    own_centre: bool = False
    per_output: int = 0
    importance: Importance | None = None

    def of_block(self, number: int) -> Self:
        if self.importance is None:
            return self
        return replace(self, importance=self.importance.of_block(number))

    def __call__(self, block: Block, parameters: FloatArray) -> LinearSums:
        packing = self.packing
        coef, intercept = packing.unpack(parameters)
        # A Hessian of rows with many entries needs dense tiles.
        sparse = is_sparse(block.X) and (self.order < Order.HESSIAN or has_few_entries(block.X))
        gradient = np.zeros(packing.shape)
        sums, centre = self._no_rows(block), self.centre
        if sums.centre is not None:
            centre = sums.centre
            intercept = intercept + coef @ centre
        tile = Tiles(block, packing, self.order, centre, sparse=sparse)
        hessian = self._hessian_sum(block, tile, centre)
        offset = np.zeros(packing.n_features) if hessian is None else hessian.offset
        largest_norm = self._largest_norm(tile, centre, hessian)
        sampler = None if self.importance is None else RowSampler(self.importance, block)
        order = self.order if sampler is None else Order.HESSIAN  # scores need curvatures
        for rows in tiles(block.n_rows, tile.size):
            narrow, X = tile(rows)
            y = block.y[rows]
            weight = None if block.weight is None else block.weight[rows]
            raw = raw_predictions(X, coef, intercept)
            point = self.loss.evaluate(y, raw, weight, order)
            sums.value += point.value
            sums.weight += len(X) if weight is None else float(weight.sum())
            if point.gradient is not None:
                add_gradient(gradient, point.gradient, X)
            self._add_statistics(sums, X, y, weight, raw, centre)
            centred = X if hessian is None else hessian.centred(X, narrow)
            if largest_norm is not None:
                sums.radius = max(sums.radius, 1.0 + largest_norm(X, centred))
            if sampler is not None and point.curvature is not None:
                diagonal = self.loss.curvature_of_each(point.curvature, packing.n_outputs)
                score = sampler.rule.scores(centred, offset, weight, diagonal.sum(axis=1))
                sampler.add(X, y, weight, score)
            if hessian is not None and point.curvature is not None:
                hessian.add(X, centred, point.curvature)
        sums.radius = float(np.sqrt(sums.radius))
        if self.order >= Order.GRADIENT:
            sums.gradient = gradient.ravel()
        if hessian is not None:
            sums.hessian = hessian.packed()
        if sampler is not None:
            sums.rows = sampler.rows()
        return sums

    def _no_rows(self, block: Block) -> LinearSums:
        """Return the sums over no rows of a block, with the centres that the block chooses."""
        sums = LinearSums(0.0, 0.0, block.n_rows, 0, 0.0)
        if self.own_centre:
            sums.centre = centre_of(block.X, block.weight)
        if self.moments:
            middle = centre_of(block.X, block.weight) if sums.centre is None else sums.centre
            sums.shift = np.concatenate([middle, centre_of(block.targets, block.weight)])
            sums.moments = np.zeros((2, len(sums.shift)))
        return sums

    def _hessian_sum(
        self, block: Block, tile: Tiles, centre: FloatArray | None
    ) -> HessianSum | None:
        """Return the accumulator of the Hessian, or None if no Hessian is requested."""
        if self.order < Order.HESSIAN:
            return None
        kind = SparseHessianSum if tile.sparse else HessianSum
        return kind(
            self.loss,
            self.packing,
            self.hessian_dtype,
            block,
            tile.most_rows,
            centre,
            self.per_output,
        )

    def _largest_norm(
        self, tile: Tiles, origin: FloatArray | None, hessian: HessianSum | None
    ) -> Callable[[Any, Any], float] | None:
        """Return the function that finds the largest norm of a row, or None if not requested.

        It takes the rows of a tile, and the rows that the Hessian is computed from.
        """
        if self.ellipsoid is None:
            return None
        centre, weights = self.ellipsoid
        if self.own_centre and origin is not None:
            centre = centre - origin
        if tile.sparse:
            return lambda X, _: float(np.max(X.squared_distances(centre, weights)))
        if hessian is None or self.per_output:
            norm = LargestNorm((centre, weights), np.zeros_like(centre), np.float64)
            return lambda X, _: norm(X)
        # Perhaps in float32: then this takes half as long.
        norm = LargestNorm((centre, weights), hessian.offset, hessian.dtype)
        return lambda _, centred: norm(centred)

    def _add_statistics(
        self,
        sums: LinearSums,
        X: Any,
        y: FloatArray,
        weight: FloatArray | None,
        raw: FloatArray,
        origin: FloatArray | None,
    ) -> None:
        """Add the other sums of a tile: column moments and errors."""
        if self.count_errors:
            present = slice(None) if weight is None else weight > 0
            sums.n_errors += self.loss.n_errors(y[present], raw[present])
        if sums.moments is not None and sums.shift is not None:
            weights = np.ones(len(X)) if weight is None else weight
            n = X.shape[1]
            targets = y.reshape(len(X), -1) - sums.shift[n:]
            sums.moments[0, n:] += weights @ targets
            sums.moments[1, n:] += weights @ (targets * targets)
            if isinstance(X, SparseTile):
                X.add_moments(sums.moments[:, :n], weight, sums.shift[:n])
                return
            middle = sums.shift[:n] if origin is None else sums.shift[:n] - origin
            features = np.subtract(X, middle, out=scratch("described", X.shape))
            sums.moments[0, :n] += weights @ features
            features *= features
            sums.moments[1, :n] += weights @ features

    def combine(self, left: LinearSums, right: LinearSums) -> LinearSums:
        if left.weight == 0.0:  # without weight, a block has no useful centre
            left.centre, left.shift = right.centre, right.shift
        elif right.weight > 0.0:
            self._recentre(right, left)
        left.value += right.value
        left.weight += right.weight
        left.n_rows += right.n_rows
        left.n_errors += right.n_errors
        left.radius = max(left.radius, right.radius)
        for name in ("gradient", "hessian", "moments"):
            left_sum, right_sum = getattr(left, name), getattr(right, name)
            if left_sum is not None:
                left_sum += right_sum
        if left.rows is not None and right.rows is not None and self.importance is not None:
            left.rows = combine_rows(self.importance, left.rows, right.rows, left.n_rows)
        return left

    def _recentre(self, sums: LinearSums, goal: LinearSums) -> None:
        """Convert ``sums`` to the centres of ``goal``."""
        if sums.centre is not None and goal.centre is not None:
            centring = Centring(self.packing, goal.centre - sums.centre)
            if sums.gradient is not None:
                sums.gradient = centring.gradient(sums.gradient)
            if sums.hessian is not None:
                move = centring.per_output if self.per_output else centring.matrix
                sums.hessian = move(sums.hessian)
        if sums.moments is not None and sums.shift is not None and goal.shift is not None:
            gap = sums.shift - goal.shift
            first, second = sums.moments
            second += gap * (2.0 * first + sums.weight * gap)
            first += sums.weight * gap

    def is_finite(self, partial: LinearSums) -> bool:
        # A NaN or an infinity in X reaches the value or the gradient. The Hessian is not
        # checked: its float32 products may overflow although the data are finite.
        gradient = partial.gradient
        return bool(
            np.isfinite(partial.value) and (gradient is None or np.isfinite(gradient).all())
        )


def raw_predictions(X: Any, coef: FloatArray, intercept: FloatArray) -> FloatArray:
    """Return ``X coef.T + intercept``, of shape (n_rows, n_outputs)."""
    if len(coef) == 1:  # faster than a product with a matrix of one column
        return np.asarray(X @ coef[0] + intercept[0])[:, None]
    raw = np.asarray(X @ coef.T)
    raw += intercept
    return raw


def add_gradient(gradient: FloatArray, residual: FloatArray, X: Any) -> None:
    """Add ``residual.T [X, 1]``, the derivative with respect to the parameters, to ``gradient``."""
    n_features = X.shape[1]
    if residual.shape[1] == 1:
        gradient[0, :n_features] += residual[:, 0] @ X
    else:
        gradient[:, :n_features] += residual.T @ X
    if gradient.shape[1] > n_features:
        gradient[:, -1] += residual.sum(axis=0)
