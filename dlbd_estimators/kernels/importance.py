"""Rows drawn with probabilities of their own, in the pass that finds out how much each matters.

A row of score ``a_i`` gets a priority ``u_i / a_i``, with ``u_i`` uniform on (0, 1), and the rows
of the least priorities are kept (Duffield, Lund and Thorup 2007, "Priority sampling"). With t the
least priority of those left out, row i was kept with probability ``min(1, a_i t)``, and sums over
the kept rows with the inverse of that as weights are those over all rows, on average.

How many are kept is bounded in each range of blocks, by its share of all rows, so that what travels
and what waits to be joined is bounded too, whatever the scores are. A row has passed where its
priority is below the least t on its way (Ting 2017, "Adaptive threshold sampling": such thresholds
are as good as one). Which rows are kept depends on the tree of blocks alone.

The score is ``s_i sqrt(h_i + c) |x_i|`` with ``h_i`` the curvature of the row's loss, a small
constant c, and the norm that of the inverse of a Hessian: about what a row can add to a Newton step
by its curvature having changed. Rows that are fitted well have hardly any curvature now, and may
have more after a step: without c the kept rows would know nothing of them. The norm is the length
of the products with some random directions in that metric, which cost less than all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block

#: A range of blocks keeps at most so many times its share of what all blocks keep.
_TIMES_SHARE = 2.0


@dataclass(frozen=True)
class ImportantRows:
    """Rows of some blocks, in their order.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Centred as the kernel's parameters expect, in float32: what is asked of these rows has no
        more digits than that.
    y : ndarray
        As the blocks hold it.
    weight : ndarray of shape (n_rows,)
        Sample weights.
    score, priority : ndarray of shape (n_rows,)
        See the module.
    limit : ndarray of shape (n_rows,)
        Rows like this one have been kept up to this priority.
    """

    X: FloatArray
    y: FloatArray
    weight: FloatArray
    score: FloatArray
    priority: FloatArray
    limit: FloatArray

    @property
    def chance(self) -> FloatArray:
        """Probability of each row to be kept."""
        return np.asarray(np.minimum(1.0, self.score * self.limit))

    def columns(self) -> tuple[FloatArray, ...]:
        """Return the arrays, one entry a row each."""
        return self.X, self.y, self.weight, self.score, self.priority, self.limit


def least(pieces: Sequence[ImportantRows], n_rows: int) -> ImportantRows:
    """Return the rows of the least priorities of several; all if they are no more than that."""
    priority = np.concatenate([piece.priority for piece in pieces])
    limit = float(np.partition(priority, n_rows)[n_rows]) if len(priority) > n_rows else np.inf
    kept = [piece.priority < limit for piece in pieces]
    sizes = [int(np.count_nonzero(each)) for each in kept]
    found = []
    for columns in zip(*(piece.columns() for piece in pieces), strict=True):
        # In place, or all would be in memory once more.
        column = np.empty((sum(sizes), *columns[0].shape[1:]), dtype=columns[0].dtype)
        places = np.split(column, np.cumsum(sizes)[:-1])
        for of_piece, each, place in zip(columns, kept, places, strict=True):
            np.compress(each, of_piece, axis=0, out=place)
        found.append(column)
    np.minimum(found[-1], limit, out=found[-1])
    return ImportantRows(*found)


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
    n_all : int
        Of how many.
    curvature : float
        The constant of the scores.
    seed, block : int
        Number of a random stream, and of the block that it is for.
    """

    directions: FloatArray = field(repr=False)
    limit: float
    n_rows: int
    n_all: int
    curvature: float = 0.0
    seed: int = 0
    block: int = 0

    @property
    def nbytes(self) -> int:
        """Memory of the rows that are kept, at most."""
        return self.n_rows * row_nbytes(len(self.directions))

    def most(self, n_rows: int) -> int:
        """Return how many rows to keep at most of so many."""
        share = math.ceil(_TIMES_SHARE * self.n_rows * n_rows / self.n_all)
        return min(self.n_rows, share)

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


def row_nbytes(n_features: int) -> int:
    """Return what a kept row takes: its features, and five numbers more."""
    return 4 * n_features + 5 * 8


class RowSieve:
    """Keeps rows of one block, tile by tile."""

    def __init__(self, rule: Importance, block: Block) -> None:
        self._rule = rule
        self._random = rule.stream()
        self._most = rule.most(block.n_rows)
        self._limit = rule.limit
        none = np.zeros(0)
        X = np.zeros((0, block.X.shape[1]), dtype=np.float32)
        self._pieces = [ImportantRows(X, block.y[:0], none, none, none, none)]
        self._held = 0

    def add(
        self, X: FloatArray, y: FloatArray, weight: FloatArray | None, curvature: FloatArray
    ) -> None:
        """Look at a tile; see :meth:`Importance.scores`."""
        score = self._rule.scores(X, weight, curvature)
        # From 0 (excluded) to 1, so that no row of a score of zero has a priority.
        with np.errstate(divide="ignore"):
            priority = (1.0 - self._random.random(len(X))) / score
        kept = np.flatnonzero(priority < self._limit)
        ones = np.ones(len(kept)) if weight is None else weight[kept]
        limits = np.full(len(kept), self._limit)
        narrow = X[kept].astype(np.float32)
        self._pieces.append(
            ImportantRows(narrow, y[kept], ones, score[kept], priority[kept], limits)
        )
        self._held += len(kept)
        # Now and then, or each row would be moved by every tile.
        if self._held > 2 * self._most:
            rows = self.rows()
            self._pieces, self._held = [rows], len(rows.limit)
            self._limit = float(rows.limit.max(initial=0.0))

    def rows(self) -> ImportantRows:
        """Return what was kept."""
        return least(self._pieces, self._most)


def joined(
    rule: Importance, left: ImportantRows, right: ImportantRows, n_rows: int
) -> ImportantRows:
    """Return what two neighbouring ranges of blocks keep together, which have so many rows."""
    return least([left, right], rule.most(n_rows))
