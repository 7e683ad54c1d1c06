"""Clip the gradients of single rows, so that no row changes a sum of gradients by much.

A row's gradient for a layer is the outer product of its inputs ``[a, 1]`` and its error ``d``, the
derivative of the loss with respect to the outputs of the layer. Its norm is ``|[a, 1]| |d|``, and
to clip the gradient means to shorten ``d``. So the clipped sum takes one matrix product, as without
clipping, and no array of shape (n_rows, n_parameters) is needed (Goodfellow, "Efficient per-example
gradient computations", arXiv 1510.01799).

All is computed in float64: the sum of a float32 product could exceed the bound by its rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, tile_rows, tiles
from dlbd_estimators.kernels.network import Network, Workspace


def squared_norms(inputs: Sequence[FloatArray], errors: Sequence[FloatArray]) -> FloatArray:
    """Return the squared norm of each row's gradient for all layers, with intercepts.

    Parameters
    ----------
    inputs : sequence of ndarray of shape (n_rows, width)
        The inputs of each layer.
    errors : sequence of ndarray of shape (n_rows, width)
        The derivative of the loss with respect to the outputs of each layer.
    """
    total = np.zeros(len(errors[0]))
    for a, d in zip(inputs, errors, strict=True):
        total += (np.einsum("ij,ij->i", a, a) + 1.0) * np.einsum("ij,ij->i", d, d)
    return total


def clip_rows(errors: Sequence[FloatArray], squares: FloatArray, bound: float) -> None:
    """Shorten the gradients of rows to ``bound``, by their errors, in place.

    A row whose gradient overflows has no usable direction: it does not count.

    Parameters
    ----------
    errors : sequence of ndarray of shape (n_rows, width)
        The derivative of the loss with respect to the outputs of each layer.
    squares : ndarray of shape (n_rows,)
        Squared norm of each row's gradient.
    bound : float
        Largest norm of a row's gradient.
    """
    finite = np.isfinite(squares)
    norms = np.sqrt(np.where(finite, squares, 1.0))
    factors = bound / np.maximum(norms, bound)
    for d in errors:
        d *= factors[:, None]
        d[~finite] = 0.0


def clipped_gradient(
    network: Network, rows: Block, parameters: FloatArray, bound: float
) -> FloatArray:
    """Return the sum of the rows' clipped gradients, of a network's loss without penalty.

    Parameters
    ----------
    network : Network
        The network.
    rows : Block
        Rows; y is encoded as the loss expects. Weights multiply the losses before clipping.
    parameters : ndarray of shape (size,)
        The flat vector of parameters, float64.
    bound : float
        Largest norm of a row's gradient.

    Returns
    -------
    ndarray of shape (size,)
        One row changes it by a vector of norm ``bound`` at most, except for rounding.
    """
    layers = network.layers
    coefs, intercepts = layers.unpack(parameters)
    size = max(1, min(tile_rows(max(layers.units)), rows.n_rows))
    workspace = Workspace(layers, size, np.float64)
    total: FloatArray = np.zeros(layers.size)
    with np.errstate(all="ignore"):
        for part in tiles(rows.n_rows, size):
            X = rows.X[part].astype(np.float64)
            weight = None if rows.weight is None else rows.weight[part]
            tile = Block(X, rows.y[part], weight)
            outputs = [output[: tile.n_rows] for output in workspace.outputs]
            errors = [error[: tile.n_rows] for error in workspace.errors]
            network.propagate(tile, coefs, intercepts, outputs, errors)
            inputs = [X, *outputs[:-1]]
            clip_rows(errors, squared_norms(inputs, errors), bound)
            for a in inputs:  # of a row that does not count, for 0 times infinity is not 0
                np.nan_to_num(a, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            network.differentiate(X, outputs, errors, workspace)
            total += workspace.gradient
    return total
