"""Rows drawn with probabilities of their own, in the pass that finds out how much each matters.

A row of score ``a_i`` gets a priority ``u_i / a_i``, with ``u_i`` uniform on (0, 1), and the rows
of the least priorities are kept (Duffield, Lund and Thorup 2007, "Priority sampling"). With t the
least priority of those left out, row i was kept with probability ``min(1, a_i t)``, and sums over
the kept rows with the inverse of that as weights are those over all rows, on average. Which rows
are kept depends on no order, so that blocks may bring what they have and the tree keeps the best.

The score is ``s_i sqrt(h_i + c) |x_i|`` with ``h_i`` the curvature of the row's loss, a small
constant c, and the norm that of the inverse of a Hessian: about what a row can add to a Newton step
by its curvature having changed. Rows that are fitted well have hardly any curvature now, and may
have more after a step: without c the kept rows would know nothing of them. The norm is the length
of the products with some random directions in that metric, which cost less than all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class KeptRows:
    """Rows of some blocks, in their order.

    Attributes
    ----------
    limit : float
        All rows of a lesser priority are here.
    X, y : ndarray
        As the blocks hold them.
    weight : ndarray of shape (n_rows,)
        Sample weights.
    score, priority : ndarray of shape (n_rows,)
        See the module.
    """

    limit: float
    X: FloatArray
    y: FloatArray
    weight: FloatArray
    score: FloatArray
    priority: FloatArray

    @property
    def chance(self) -> FloatArray:
        """Probability of each row to be kept."""
        return np.asarray(np.minimum(1.0, self.score * self.limit))

    def least(self, n_rows: int) -> KeptRows:
        """Return the rows of the least priorities; all if they are no more than that."""
        if len(self.priority) <= n_rows:
            return self
        return self.below(float(np.partition(self.priority, n_rows)[n_rows]))

    def below(self, limit: float) -> KeptRows:
        """Return the rows of a lesser priority than a limit, which is no more than today's."""
        kept = self.priority < limit
        return KeptRows(limit, *(column[kept] for column in self.columns()))

    def columns(self) -> tuple[FloatArray, ...]:
        """Return the arrays, one entry a row each."""
        return self.X, self.y, self.weight, self.score, self.priority


@dataclass(frozen=True)
class Importance:
    """A rule by which rows are kept.

    Parameters
    ----------
    directions : ndarray of shape (width, n_directions)
        A row, with its constant, times these is as long as the row in the metric of the scores.
    limit : float
        Rows of a larger priority are not looked at.
    n_rows : int
        How many to keep at most.
    curvature : float
        The constant of the scores.
    seed, block : int
        Number of a random stream, and of the block that it is for.
    """

    directions: FloatArray = field(repr=False)
    limit: float
    n_rows: int
    curvature: float = 0.0
    seed: int = 0
    block: int = 0

    def of_block(self, number: int) -> Importance:
        """Return the rule for a block."""
        return replace(self, block=number)

    def stream(self) -> np.random.Generator:
        """Return the random numbers of the block's rows, in order."""
        return np.random.Generator(np.random.Philox(key=[self.seed, self.block]))

    def scores(self, X: FloatArray, weight: FloatArray | None, curvature: FloatArray) -> FloatArray:
        """Return the score of each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Centred as the directions expect.
        weight : ndarray of shape (n_rows,) or None
            Sample weights.
        curvature : ndarray of shape (n_rows,)
            Of the row's loss, with its weight.
        """
        n = X.shape[1]
        products = X @ self.directions[:n]
        if len(self.directions) > n:
            products += self.directions[n]
        squares = np.einsum("ij,ij->i", products, products)
        squares *= curvature + self.curvature * (1.0 if weight is None else weight)
        if weight is not None:
            squares *= weight
        return np.asarray(np.sqrt(squares))


class RowSieve:
    """Keeps rows of one block, tile by tile."""

    def __init__(self, rule: Importance) -> None:
        self._rule = rule
        self._random = rule.stream()
        self._pieces: list[tuple[NDArray[Any], ...]] = []

    def add(
        self,
        X: FloatArray,
        narrow: FloatArray,
        y: FloatArray,
        weight: FloatArray | None,
        curvature: FloatArray,
    ) -> None:
        """Look at a tile; see :meth:`Importance.scores`, and ``narrow`` are its rows as stored."""
        score = self._rule.scores(X, weight, curvature)
        # From 0 (excluded) to 1, so that no row of a score of zero has a priority.
        with np.errstate(divide="ignore"):
            priority = (1.0 - self._random.random(len(X))) / score
        kept = np.flatnonzero(priority < self._rule.limit)
        ones = np.ones(len(kept)) if weight is None else weight[kept]
        self._pieces.append((narrow[kept], y[kept], ones, score[kept], priority[kept]))

    def rows(self, none: FloatArray, y: FloatArray) -> KeptRows:
        """Return what was kept; ``none`` and ``y`` are the block's, for their shape and dtype."""
        empty = np.zeros(0)
        pieces = self._pieces or [(none[:0], y[:0], empty, empty, empty)]
        columns = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return KeptRows(self._rule.limit, *columns).least(self._rule.n_rows)


def joined(rule: Importance, left: KeptRows, right: KeptRows) -> KeptRows:
    """Return what two neighbouring ranges of blocks keep together.

    Sorting out waits until there are twice as many as wanted: what is kept in the end is the same.
    """
    limit = min(left.limit, right.limit)
    pairs = zip(left.below(limit).columns(), right.below(limit).columns(), strict=True)
    rows = KeptRows(limit, *(np.concatenate(pair) for pair in pairs))
    return rows.least(rule.n_rows) if len(rows.priority) > 2 * rule.n_rows else rows
