"""Sums for the sandwich covariance of a model's parameters: curvature and squared scores.

Let ``z = [x - c, 1]`` be a row's centred features and its constant, ``g`` and ``h`` the first and
second derivative of its loss with respect to its raw prediction, and ``s`` its weight. A pass
returns

    bread    = sum_i s_i h_i z_i z_i^T
    meat     = sum_i s_i g_i^2 z_i z_i^T / (1 - l_i)^d     (frequency; else s_i^2 g_i^2)
    scores_k = sum_{i in group k} s_i g_i z_i

With several outputs, ``z`` is the Kronecker product of the outputs and ``[x - c, 1]``: the entries
of ``h`` for two outputs give a block of the bread, and the products of ``g`` a block of the meat.
A loss with coupled outputs has the first class as its reference: its raw prediction is zero, and
the outputs are the other classes.

Here ``l`` is a row's leverage ``h z^T (bread + penalty)^-1 z``, multiplied by ``s`` if weights are
not frequencies, and d is 0, 1 or 2. All sums are computed in float64. Unless a centre is given,
each block chooses its own, and :meth:`SandwichKernel.combine` converts the sums of one block to
the centre of the other: products of columns far from zero would lose the spread of the columns to
rounding. Without an intercept, ``c`` is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring, centre_of
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear_tiles import centred_tile, repeated
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing

#: A row with a leverage above this is fitted exactly, with a residual of zero.
_SATURATED = 1.0 - 1e-10


class Estimate(NamedTuple):
    """Parameters of a pass: the model, and the matrix from which leverages are computed.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        The model, in the packed order, for uncentred features.
    centre : ndarray of shape (n_features,) or None
        Centre of the features for all blocks; None lets each block choose its own.
    root : ndarray of shape (n_parameters, n_parameters) or None
        ``root root^T`` is the inverse of the bread plus the penalty, for this centre.
    """

    parameters: FloatArray
    centre: FloatArray | None = None
    root: FloatArray | None = None


@dataclass
class SandwichSums:
    """Sums over rows.

    Attributes
    ----------
    weight : float
        Sum of the weights.
    squares : float
        Weighted sum of the squared first derivatives of the loss.
    n_rows, n_present, n_saturated : int
        Number of all rows, of rows with a weight above 0, and of rows with such a weight and a
        leverage of 1.
    centre : ndarray of shape (n_features,)
        Centre of the features in all sums.
    gradient : ndarray of shape (n_parameters,)
        Sum of ``s g z``.
    bread, meat : ndarray of shape (n_parameters, n_parameters) or None
        See the docstring of this module; None if not requested.
    groups : ndarray of int of shape (n_groups,)
        Numbers of the groups that have a row with a weight above 0, ascending.
    scores : ndarray of shape (n_groups, n_parameters)
        Summed scores of each of these groups.
    """

    weight: float
    squares: float
    n_rows: int
    n_present: int
    n_saturated: int
    centre: FloatArray
    gradient: FloatArray
    bread: FloatArray | None
    meat: FloatArray | None
    groups: NDArray[np.intp]
    scores: FloatArray


@dataclass(frozen=True)
class SandwichKernel(Kernel[SandwichSums]):
    """Curvature and squared scores of a model on one block.

    The parameters of the pass are an :class:`Estimate`.

    Parameters
    ----------
    loss : Loss
        The pointwise loss. If it has coupled outputs, the first class is the reference.
    packing : Packing
        Order of the parameters; without the reference class.
    bread, meat : bool
        Whether to compute these sums.
    grouped : bool
        Whether to sum scores by group. The second column of the targets then holds the number of
        each row's group.
    frequency : bool
        Whether a row of weight k counts as k equal rows. If False, the variance of a row is divided
        by its weight.
    discount : int
        Power d of ``1 - leverage`` by which the meat is divided: 0, 1 or 2; only with one output.
    """

    loss: Loss
    packing: Packing
    bread: bool = True
    meat: bool = False
    grouped: bool = False
    frequency: bool = True
    discount: int = 0

    def __call__(self, block: Block, parameters: Estimate) -> SandwichSums:
        packing = self.packing
        n, (outputs, width) = packing.n_features, packing.shape
        coef, intercept = packing.unpack(parameters.parameters)
        centre: FloatArray = np.zeros(n)
        if packing.fit_intercept:
            given_centre = parameters.centre
            centre = centre_of(block.X, block.weight) if given_centre is None else given_centre
        point = np.column_stack([coef, intercept + coef @ centre])[:, :width]
        size = tile_rows(width)
        wide = scratch("wide", (min(size, block.n_rows), n))
        rows_of_tile = scratch("constant", (len(wide), width))
        rows_of_tile[:, n:] = 1.0
        sums, subtracted = self._zero_sums(block, centre), repeated(centre)
        for rows in tiles(block.n_rows, size):
            X = centred_tile(block.X[rows], subtracted, wide)
            Z = rows_of_tile[: len(X)]
            Z[:, :n] = X
            y = block.targets[rows]
            weight = np.ones(len(X)) if block.weight is None else block.weight[rows]
            raw = Z @ point.T
            if self.loss.coupled:
                raw = np.column_stack([np.zeros(len(raw)), raw])
            found = self.loss.evaluate(y[:, 0], raw, None, Order.HESSIAN)
            assert found.gradient is not None
            assert found.curvature is not None
            slope, curvature = found.gradient[:, -outputs:], found.curvature
            present = weight > 0
            sums.weight += float(weight.sum())
            sums.squares += float(weight @ (slope * slope).sum(axis=1))
            sums.n_present += int(np.count_nonzero(present))
            sums.gradient += ((weight[:, None] * slope).T @ Z).ravel()
            if sums.bread is not None:
                self._add_bread(sums.bread, curvature, weight, Z)
            if sums.meat is not None:
                factor: FloatArray = weight if self.frequency else weight * weight
                if self.discount and parameters.root is not None:
                    factor = factor / self._rest(sums, curvature, weight, Z @ parameters.root)
                self._add_meat(sums.meat, slope, factor, Z)
            if self.grouped:
                groups = y[present, 1].astype(np.intp)
                _add_scores(sums, groups, (weight[:, None] * slope)[present], Z[present])
        return sums

    def _rest(
        self, sums: SandwichSums, curvature: FloatArray, weight: FloatArray, along: FloatArray
    ) -> FloatArray:
        """Return ``(1 - leverage)^discount`` of each row, and count the rows of leverage 1."""
        leverage = curvature.reshape(-1) * np.einsum("ij,ij->i", along, along)
        if not self.frequency:
            leverage *= weight
        saturated = leverage > _SATURATED
        sums.n_saturated += int(np.count_nonzero((weight > 0) & saturated))
        return np.asarray(np.where(saturated, 1.0, 1.0 - leverage) ** self.discount)

    def _add_meat(
        self, meat: FloatArray, slope: FloatArray, factor: FloatArray, Z: FloatArray
    ) -> None:
        """Add the products of the scores of a tile, for each pair of outputs."""
        outputs, width = self.packing.shape
        blocks = meat.reshape(outputs, width, outputs, width)
        for k in range(outputs):
            for j in range(k, outputs):
                _add_products(blocks, k, j, slope[:, k] * slope[:, j] * factor, Z)

    def _add_bread(
        self, bread: FloatArray, curvature: FloatArray, weight: FloatArray, Z: FloatArray
    ) -> None:
        """Add the second derivatives of a tile, for each pair of outputs."""
        outputs, width = self.packing.shape
        blocks = bread.reshape(outputs, width, outputs, width)
        first = 1 if self.loss.coupled else 0  # the reference class has no parameters
        for k in range(outputs):
            for j in range(k, outputs):
                between = self.loss.curvature_between(curvature, first + k, first + j)
                _add_products(blocks, k, j, weight * between.reshape(-1), Z)

    def _zero_sums(self, block: Block, centre: FloatArray) -> SandwichSums:
        width = self.packing.size
        groups = np.zeros(0, dtype=np.intp)
        if self.grouped:
            numbers = block.targets[:, 1].astype(np.intp)
            groups = np.unique(numbers if block.weight is None else numbers[block.weight > 0])
        return SandwichSums(
            weight=0.0,
            squares=0.0,
            n_rows=block.n_rows,
            n_present=0,
            n_saturated=0,
            centre=centre,
            gradient=np.zeros(width),
            bread=np.zeros((width, width)) if self.bread else None,
            meat=np.zeros((width, width)) if self.meat else None,
            groups=groups,
            scores=np.zeros((len(groups), width)),
        )

    def combine(self, left: SandwichSums, right: SandwichSums) -> SandwichSums:
        if left.n_present == 0:  # without weight, a block has no useful centre
            left.centre = right.centre
        elif right.n_present > 0:
            self._recentre(right, left.centre)
        left.weight += right.weight
        left.squares += right.squares
        left.n_rows += right.n_rows
        left.n_present += right.n_present
        left.n_saturated += right.n_saturated
        left.gradient += right.gradient
        for name in ("bread", "meat"):
            left_sum, right_sum = getattr(left, name), getattr(right, name)
            if left_sum is not None:
                left_sum += right_sum
        _join_scores(left, right.groups, right.scores)
        return left

    def _recentre(self, sums: SandwichSums, centre: FloatArray) -> None:
        """Convert sums to another centre."""
        gap = centre - sums.centre
        centring = Centring(self.packing, gap)
        sums.gradient = centring.gradient(sums.gradient)
        if sums.bread is not None:
            sums.bread = centring.matrix(sums.bread)
        if sums.meat is not None:
            sums.meat = centring.matrix(sums.meat)
        if self.packing.fit_intercept:
            scores = sums.scores.reshape(-1, *self.packing.shape)
            scores[..., :-1] -= scores[..., -1:] * gap
        sums.centre = centre

    def is_finite(self, partial: SandwichSums) -> bool:
        parts = (partial.squares, partial.gradient, partial.bread, partial.meat, partial.scores)
        return all(bool(np.isfinite(part).all()) for part in parts if part is not None)


def _add_products(blocks: FloatArray, k: int, j: int, factor: FloatArray, Z: FloatArray) -> None:
    """Add ``sum factor z z^T`` to the block of outputs k and j, and to that of j and k."""
    scaled = scratch("scaled", Z.shape)
    if k == j:  # With the same operand on both sides, BLAS does half the work (syrk).
        np.multiply(Z, np.sqrt(factor)[:, None], out=scaled)
        blocks[k, :, k] += scaled.T @ scaled
        return
    np.multiply(Z, factor[:, None], out=scaled)
    product = Z.T @ scaled
    blocks[k, :, j] += product
    blocks[j, :, k] += product


def _add_scores(
    sums: SandwichSums, groups: NDArray[np.intp], slope: FloatArray, Z: FloatArray
) -> None:
    """Add the scores of a tile; all its groups must be in ``sums.groups``."""
    found, positions = np.unique(groups, return_inverse=True)
    places = np.searchsorted(sums.groups, found)
    width = Z.shape[1]
    for k in range(slope.shape[1]):
        # A sparse product adds the rows of a group in their order, without a loop over groups.
        chosen = sparse.csr_array(
            (slope[:, k], (positions, np.arange(len(positions)))),
            shape=(len(found), len(positions)),
        )
        sums.scores[places, k * width : (k + 1) * width] += chosen @ Z


def _join_scores(sums: SandwichSums, groups: NDArray[np.intp], scores: FloatArray) -> None:
    if np.array_equal(groups, sums.groups):
        sums.scores += scores
        return
    all_groups = np.union1d(sums.groups, groups)
    joined = np.zeros((len(all_groups), scores.shape[1]))
    joined[np.searchsorted(all_groups, sums.groups)] = sums.scores
    joined[np.searchsorted(all_groups, groups)] += scores
    sums.groups, sums.scores = all_groups, joined
