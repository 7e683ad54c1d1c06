"""The outer step, which combines the replicas after a round.

The mean change of the replicas, with the opposite sign, is used as a gradient (the outer gradient),
with Nesterov's momentum: DiLoCo (Douillard et al., arXiv 2311.08105). With rate 1 and momentum 0,
this is the plain average of local SGD (Stich, arXiv 1805.09767).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class OuterStep:
    """``v = momentum v + d``; ``w = w - rate (d + momentum v)``, with the outer gradient d.

    Parameters
    ----------
    learning_rate : float
        Greater than 0; 1 without momentum gives the plain average.
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
            Parameters with which all replicas began the round.
        velocity : ndarray of shape (size,)
            The velocity after the last round, in float64; zero before the first round.
        replicas : sequence of ndarray of shape (size,)
            Parameters of the replicas at the end of the round.
        n_rows : sequence of int
            Number of rows that each replica trained on: its weight in the average.
        """
        before = synchronised.astype(np.float64)
        outer_gradient = np.zeros_like(velocity)
        # In the order of the replicas: the sum must not depend on which one finished first.
        for parameters, rows in zip(replicas, n_rows, strict=True):
            outer_gradient += (before - parameters) * (rows / sum(n_rows))
        velocity = self.momentum * velocity + outer_gradient
        after = before - self.learning_rate * (outer_gradient + self.momentum * velocity)
        return after.astype(synchronised.dtype), velocity
