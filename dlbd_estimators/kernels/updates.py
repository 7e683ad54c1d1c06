"""Update rules of mini-batch training: how a gradient moves the parameters.

An update works in place, on the flat vectors, in tiles that stay in the processor's cache
while several operations use them. Its state, the *moments*, are vectors like the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray

#: Elements of a tile; in smaller tiles, calls of NumPy cost more than is saved in memory traffic.
_TILE = 2**17


class Update(ABC):
    """A rule that turns gradients into steps."""

    #: Number of vectors that the rule keeps between two updates.
    n_moments: ClassVar[int]

    @abstractmethod
    def apply(
        self,
        parameters: FloatArray,
        gradient: FloatArray,
        moments: tuple[FloatArray, ...],
        n_updates: int,
        learning_rate: float,
    ) -> None:
        """Update ``parameters`` and ``moments`` in place.

        Parameters
        ----------
        parameters : ndarray of shape (size,)
            Parameters to change.
        gradient : ndarray of shape (size,)
            Gradient at the parameters; overwritten.
        moments : tuple of ndarray of shape (size,)
            State of the rule; zero before the first update.
        n_updates : int
            Number of updates made before this one.
        learning_rate : float
            Step size.
        """


@dataclass(frozen=True)
class SGD(Update):
    """Stochastic gradient descent with momentum.

    ``v = momentum v - rate g``. The step is ``v``, or, with Nesterov's momentum,
    ``momentum v - rate g`` with the new ``v`` (Sutskever et al., ICML 2013).

    Parameters
    ----------
    momentum : float
        Factor on the previous step, in [0, 1].
    nesterov : bool
        Whether to use Nesterov's momentum.
    """

    momentum: float = 0.9
    nesterov: bool = True
    n_moments = 1

    def apply(
        self,
        parameters: FloatArray,
        gradient: FloatArray,
        moments: tuple[FloatArray, ...],
        n_updates: int,
        learning_rate: float,
    ) -> None:
        for w, g, v in _tiles(parameters, gradient, moments[0]):
            g *= learning_rate
            v *= self.momentum
            v -= g
            if self.nesterov:
                w -= g
                np.multiply(v, self.momentum, out=g)
                w += g
            else:
                w += v


@dataclass(frozen=True)
class Adam(Update):
    """Adam (Kingma and Ba, arXiv 1412.6980).

    ``m = beta_1 m + (1 - beta_1) g``, ``v = beta_2 v + (1 - beta_2) g^2``, and the step is
    ``-rate_t m / (sqrt(v) + epsilon)`` with ``rate_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t)``.
    The moments are kept divided by ``1 - beta``, which saves two operations per update.

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay rates of the moments, in [0, 1).
    epsilon : float
        Added to the denominator; greater than 0.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_moments = 2

    def apply(
        self,
        parameters: FloatArray,
        gradient: FloatArray,
        moments: tuple[FloatArray, ...],
        n_updates: int,
        learning_rate: float,
    ) -> None:
        t = n_updates + 1
        rate = learning_rate * sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        unit = sqrt(1 - self.beta_2)
        rate *= (1 - self.beta_1) / unit
        epsilon = self.epsilon / unit
        for w, g, m, v in _tiles(parameters, gradient, *moments):
            m *= self.beta_1
            m += g
            v *= self.beta_2
            g *= g
            v += g
            np.sqrt(v, out=g)
            g += epsilon
            np.divide(m, g, out=g)
            g *= rate
            w -= g


def _tiles(*vectors: FloatArray) -> Iterator[tuple[FloatArray, ...]]:
    for start in range(0, len(vectors[0]), _TILE):
        yield tuple(vector[start : start + _TILE] for vector in vectors)
