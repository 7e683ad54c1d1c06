"""Products of a linear model's Hessian with a vector, computed without the Hessian.

Let ``u_i = V z_i`` be the change of a row's raw predictions along a parameter vector ``V``. Then

    product = sum_i s_i loss''(y_i, W z_i) u_i z_i^T

takes about the time and the memory of a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tiles
from dlbd_estimators.kernels.linear import add_gradient, raw_predictions
from dlbd_estimators.kernels.linear_tiles import Tiles
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sparse_rows import is_sparse


@dataclass
class ProductSums:
    """Sums over rows that a pass of :class:`HessianProductKernel` returns.

    Attributes
    ----------
    product : ndarray of shape (packing.size,)
        The Hessian of the sum of losses, times the vector.
    weight : float
        Sum of sample weights.
    """

    product: FloatArray
    weight: float


@dataclass(frozen=True)
class HessianProductKernel(Kernel[ProductSums]):
    """The Hessian of a linear model on one block, times a vector.

    The parameters of the pass have shape (2, packing.size): those of the model, and the vector.

    Parameters
    ----------
    loss : Loss
        The pointwise loss.
    packing : Packing
        Order of the parameters.
    centre : ndarray of shape (n_features,) or None
        Parameters and vector are for features centred by this; None means the origin.
    dtype : str
        ``"float32"`` or ``"float64"``: the precision within a tile. Sums are float64. Sparse rows
        are always multiplied in float64.
    """

    loss: Loss
    packing: Packing
    centre: FloatArray | None = field(default=None, repr=False)
    dtype: str = "float64"

    def __call__(self, block: Block, parameters: FloatArray) -> ProductSums:
        packing = self.packing
        tile = Tiles(block, packing, Order.GRADIENT, self.centre, sparse=is_sparse(block.X))
        dtype = "float64" if tile.sparse else self.dtype
        coef, intercept, along, shift = (
            values.astype(dtype) for row in parameters for values in packing.unpack(row)
        )
        product = np.zeros(packing.shape)
        total = 0.0
        for rows in tiles(block.n_rows, tile.size):
            weight = None if block.weight is None else block.weight[rows]
            _, X = tile(rows)
            if dtype == "float32":
                wide, X = X, scratch("narrow", X.shape, dtype)
                np.copyto(X, wide, casting="same_kind")
            raw = raw_predictions(X, coef, intercept)
            point = self.loss.evaluate(block.y[rows], raw, weight, Order.HESSIAN)
            assert point.curvature is not None
            change = raw_predictions(X, along, shift)
            add_gradient(product, self.loss.curvature_along(point.curvature, change), X)
            total += len(X) if weight is None else float(weight.sum())
        return ProductSums(product.ravel(), total)

    def combine(self, left: ProductSums, right: ProductSums) -> ProductSums:
        left.product += right.product
        left.weight += right.weight
        return left

    def is_finite(self, partial: ProductSums) -> bool:
        # Finite rows may be too large for float32; the caller then asks for float64.
        return self.dtype == "float32" or bool(np.isfinite(partial.product).all())
