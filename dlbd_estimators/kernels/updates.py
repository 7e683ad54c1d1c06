"""Update rules of mini-batch training: how a gradient moves the parameters.

An update works in place, on the flat vectors, in tiles that stay in the processor's cache
while several operations use them. Its memory, the *moments*, are vectors like the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray

#: Elements of a tile; smaller ones pay more for NumPy's calls than they save in memory traffic.
_TILE = 2**17


class Update(ABC):
    """A rule that turns gradients into steps."""

    #: Vectors that it keeps between two updates.
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
            To move.
        gradient : ndarray of shape (size,)
            At the parameters; overwritten.
        moments : tuple of ndarray of shape (size,)
            Zero before the first update.
        n_updates : int
            Updates made before this one.
        learning_rate : float
            Length of steps.
        """


@dataclass(frozen=True)
class SGD(Update):
    """Stochastic gradient descent with momentum.

    ``v = momentum v - rate g``; the step is ``v``, or with Nesterov's look-ahead
    ``momentum v - rate g`` once more (Sutskever et al., ICML 2013).

    Parameters
    ----------
    momentum : float
        In [0, 1].
    nesterov : bool
        Look ahead.
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
    The moments are kept divided by ``1 - beta``, which saves two operations an update.

    Parameters
    ----------
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
        Greater than 0.
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
