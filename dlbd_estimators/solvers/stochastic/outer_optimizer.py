"""The step that all replicas take together after a round.

The mean move of the replicas is used as a gradient, with Nesterov's momentum: DiLoCo (Douillard et
al., arXiv 2311.08105), of which local SGD's plain average (Stich, arXiv 1805.09767) is the case of
rate 1 and momentum 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class OuterStep:
    """``v = momentum v + d``; ``w = w - rate (d + momentum v)``; d is what replicas moved back.

    Parameters
    ----------
    learning_rate : float
        Greater than 0; 1 with no momentum is the plain average.
    momentum : float
        In [0, 1).
    """

    learning_rate: float
    momentum: float

    def __call__(
        self,
        synchronised: FloatArray,
        velocity: FloatArray,
        replicas: Sequence[FloatArray],
        n_rows: Sequence[int],
    ) -> tuple[FloatArray, FloatArray]:
        """Return the synchronised parameters and the velocity after a round.

        Parameters
        ----------
        synchronised : ndarray of shape (size,)
            Where all replicas began.
        velocity : ndarray of shape (size,)
            float64; zero before the first round.
        replicas : sequence of ndarray of shape (size,)
            Where they ended.
        n_rows : sequence of int
            Rows that each trained on: its weight in the average.
        """
        before = synchronised.astype(np.float64)
        moved_back = np.zeros_like(velocity)
        # In order, whoever came first: the sum's bits must not depend on that.
        for parameters, rows in zip(replicas, n_rows, strict=True):
            moved_back += (before - parameters) * (rows / sum(n_rows))
        velocity = self.momentum * velocity + moved_back
        after = before - self.learning_rate * (moved_back + self.momentum * velocity)
        return after.astype(synchronised.dtype), velocity
