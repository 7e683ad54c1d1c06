"""Dropout: in training, some outputs of the hidden layers are zero in each batch.

An output is zero with probability p, and else divided by ``1 - p``, so that its mean does not
change and predictions need no mask (Srivastava et al., JMLR 15, 2014, section 10; PyTorch's
``Dropout``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.kernels.activations import Activation
from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class Mask:
    """Factors on the outputs of one layer.

    Attributes
    ----------
    factors : ndarray of shape (n_rows, width)
        0 for dropped outputs, ``1 / keep`` for all others.
    keep : float
        Probability that an output is kept.
    """

    factors: FloatArray
    keep: float

    def apply(self, outputs: FloatArray) -> None:
        """Multiply the outputs of the layer by the factors."""
        outputs *= self.factors

    def backpropagate(
        self, activation: Activation, outputs: FloatArray, errors: FloatArray
    ) -> None:
        """Multiply ``errors`` by the derivatives of mask and activation, in place.

        Parameters
        ----------
        activation : Activation
            Activation of the layer.
        outputs : ndarray of shape (n_rows, width)
            Outputs of the layer after :meth:`apply`.
        errors : ndarray of shape (n_rows, width)
            Derivative of the loss with respect to ``outputs``.
        """
        errors *= self.factors
        # The derivative is computed from the outputs before the mask; it is 0 for dropped outputs.
        activation.backpropagate(outputs * outputs.dtype.type(self.keep), errors)


@dataclass(frozen=True)
class Dropout:
    """The masks of all hidden layers, drawn from a seed.

    Parameters
    ----------
    rates : tuple of float
        Probability p of each hidden layer, in [0, 1).
    seed : int
        Seed of the fit.
    """

    rates: tuple[float, ...]
    seed: int

    def masks(
        self, place: Sequence[int], n_rows: int, widths: Sequence[int], dtype: Any
    ) -> tuple[Mask | None, ...]:
        """Draw a mask for each hidden layer; None for layers without dropout.

        Parameters
        ----------
        place : sequence of int
            Numbers of the replica, of the update and of the shard. They determine the masks, so
            that these depend neither on the threads nor on where a fit was interrupted.
        n_rows : int
            Number of rows of the shard.
        widths : sequence of int
            Number of units of each hidden layer.
        dtype : dtype
            Precision of the outputs.
        """
        rng = np.random.default_rng((self.seed, *place))
        masks: list[Mask | None] = []
        for rate, width in zip(self.rates, widths, strict=True):
            if rate == 0.0:
                masks.append(None)
                continue
            keep = 1.0 - rate
            kept = rng.random((n_rows, width), dtype=np.float32) < keep
            masks.append(Mask(kept * np.dtype(dtype).type(1.0 / keep), keep))
        return tuple(masks)
