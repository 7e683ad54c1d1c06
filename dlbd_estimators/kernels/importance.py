"""Rows sampled by importance, in the same pass that computes the importance of each row.

A row with score ``a_i`` gets the priority ``u_i / a_i``, with ``u_i`` uniform on (0, 1). The rows
with the smallest priorities are kept (Duffield, Lund and Thorup 2007, "Priority sampling"). If t is
the smallest priority of the rows left out, row i was kept with probability ``min(1, a_i t)``. Sums
over the kept rows, weighted by the inverse of this probability, have the sums over all rows as
expected value.

The number of kept rows is bounded in each range of blocks, by the range's share of all rows. This
bounds the data that is transferred and the partials that wait to be combined, whatever the scores
are. A row is kept if its priority is below the smallest t of all ranges that contain it (Ting 2017,
"Adaptive threshold sampling": such thresholds may be used like a single one). Which rows are kept
depends only on the tree of blocks.

The score is ``s_i sqrt(h_i + c) |x_i|``, where ``s_i`` is the row's weight, ``h_i`` the curvature
of its loss, c a small constant, and the norm is that of the inverse of a Hessian. It estimates how
much a row can add to a Newton step if its curvature changes. Rows that are fitted well have almost
no curvature now, but may have more after a step: without c they would hardly ever be kept. The norm
is estimated from products with a few random directions, which costs less than the exact norm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.kernel import Block

#: A range of blocks keeps at most this multiple of its share of the rows kept in all blocks.
_TIMES_SHARE = 2.0


@dataclass(frozen=True)
class ImportantRows:
    """Rows kept from some blocks, in the order of the data.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features, centred as the kernel's parameters expect. float32 is enough: the estimates from
        a sample are less precise than that.
    y : ndarray
        Targets, encoded as in the blocks.
    weight : ndarray of shape (n_rows,)
        Sample weights.
    score, priority : ndarray of shape (n_rows,)
        See the docstring of this module.
    limit : ndarray of shape (n_rows,)
        Threshold of the row: it was kept because its priority is below this number.
    """

    shapes: ClassVar[Shapes] = {
        "X": ("n_rows", "n_features"), "weight": ("n_rows",), "score": ("n_rows",),
        "priority": ("n_rows",), "limit": ("n_rows",),
    }  # fmt: skip

    X: FloatArray
    y: FloatArray
    weight: FloatArray
    score: FloatArray
    priority: FloatArray
    limit: FloatArray

    @property
    def probability(self) -> FloatArray:
        """Probability with which each row was kept."""
        return np.asarray(np.minimum(1.0, self.score * self.limit))

    def columns(self) -> tuple[FloatArray, ...]:
        """Return all arrays; each has one entry per row."""
        return self.X, self.y, self.weight, self.score, self.priority, self.limit


def keep_smallest_priorities(pieces: Sequence[ImportantRows], n_rows: int) -> ImportantRows:
    """Return the ``n_rows`` rows of the smallest priorities in ``pieces``, or all if not more."""
    features, *others = zip(*(piece.columns() for piece in pieces), strict=True)
    columns = [np.concatenate(column) for column in others]
    *_, priority, limits = columns
    if len(priority) <= n_rows:
        return ImportantRows(np.concatenate(features), *columns)
    limit = float(np.partition(priority, n_rows)[n_rows])
    kept = priority < limit
    np.minimum(limits, limit, out=limits)
    # Written in place: concatenating first would need the memory of all rows twice.
    X = np.empty((int(np.count_nonzero(kept)), *features[0].shape[1:]), dtype=features[0].dtype)
    start = end = 0
    for source in features:
        mask = kept[start : start + len(source)]
        start += len(source)
        begin, end = end, end + int(np.count_nonzero(mask))
        np.compress(mask, source, axis=0, out=X[begin:end])
    return ImportantRows(X, *(column[kept] for column in columns))


@dataclass(frozen=True)
class Importance:
    """The rule that decides which rows are kept.

    Parameters
    ----------
    directions : ndarray of shape (width, n_directions)
        The length of a row (with its constant) times this matrix estimates the norm in its score.
    limit : float
        Only rows with a priority below this are kept.
    n_rows : int
        Maximum number of rows to keep.
    n_all : int
        Number of all rows.
    curvature : float
        The constant c of the scores.
    seed, block : int
        Seed of the random numbers, and number of the block that they are for.
    """

    shapes: ClassVar[Shapes] = {"directions": ("width", "n_directions")}

    directions: FloatArray = field(repr=False)
    limit: float
    n_rows: int
    n_all: int
    curvature: float = 0.0
    seed: int = 0
    block: int = 0

    @property
    def nbytes(self) -> int:
        """Upper bound on the memory of the kept rows, in bytes."""
        return self.n_rows * row_nbytes(len(self.directions))

    def max_rows(self, n_rows: int) -> int:
        """Return the maximum number of rows to keep from ``n_rows`` rows."""
        share = math.ceil(_TIMES_SHARE * self.n_rows * n_rows / self.n_all)
        return min(self.n_rows, share)

    def of_block(self, number: int) -> Importance:
        """Return the rule for the block of a given number."""
        return replace(self, block=number)

    def stream(self) -> np.random.Generator:
        """Return the generator of the random numbers of the block's rows."""
        return np.random.Generator(np.random.Philox(key=[self.seed, self.block]))

    def scores(
        self,
        rows: FloatArray,
        offset: FloatArray,
        weight: FloatArray | None,
        curvature: FloatArray,
    ) -> FloatArray:
        """Return the score of each row.

        The products with the directions are computed in the precision of the rows: for an
        estimate float32 is enough, and takes half as long.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features)
            Features minus a point near their mean.
        offset : ndarray of shape (n_features,)
            Rows and offset together are the features, centred as the directions expect.
        weight : ndarray of shape (n_rows,) or None
            Sample weights.
        curvature : ndarray of shape (n_rows,)
            Curvature of each row's loss, multiplied by the row's weight.
        """
        n = rows.shape[1]
        constant = offset @ self.directions[:n]
        if len(self.directions) > n:
            constant += self.directions[n]
        products = rows @ self.directions[:n].astype(rows.dtype, copy=False)
        products += constant.astype(rows.dtype)
        squares = np.einsum("ij,ij->i", products, products).astype(np.float64, copy=False)
        squares *= curvature + self.curvature * (1.0 if weight is None else weight)
        if weight is not None:
            squares *= weight
        return np.asarray(np.sqrt(squares))


def row_nbytes(n_features: int) -> int:
    """Return the bytes of a kept row: its float32 features and five float64 numbers."""
    return 4 * n_features + 5 * 8


class RowSampler:
    """Selects rows of one block, tile by tile."""

    def __init__(self, rule: Importance, block: Block) -> None:
        self.rule = rule
        self._random = rule.stream()
        self._most = rule.max_rows(block.n_rows)
        self._limit = rule.limit
        none = np.zeros(0)
        X = np.zeros((0, block.X.shape[1]), dtype=np.float32)
        self._pieces = [ImportantRows(X, block.y[:0], none, none, none, none)]
        self._held = 0

    def add(
        self, X: FloatArray, y: FloatArray, weight: FloatArray | None, score: FloatArray
    ) -> None:
        """Select rows of a tile by their scores; X is centred as the result expects."""
        # In (0, 1]: a row with a score of zero gets the priority infinity, and never 0 / 0.
        with np.errstate(divide="ignore"):
            priority = (1.0 - self._random.random(len(X))) / score
        kept = np.flatnonzero(priority < self._limit)
        weights = np.ones(len(kept)) if weight is None else weight[kept]
        limits = np.full(len(kept), self._limit)
        narrow = X[kept].astype(np.float32)
        self._pieces.append(
            ImportantRows(narrow, y[kept], weights, score[kept], priority[kept], limits)
        )
        self._held += len(kept)
        # Not after every tile: that would copy all selected rows each time.
        if self._held > 2 * self._most:
            rows = self.rows()
            self._pieces, self._held = [rows], len(rows.limit)
            self._limit = float(rows.limit.max(initial=0.0))

    def rows(self) -> ImportantRows:
        """Return the rows kept from all tiles so far."""
        return keep_smallest_priorities(self._pieces, self._most)


def combine_rows(
    rule: Importance, left: ImportantRows, right: ImportantRows, n_rows: int
) -> ImportantRows:
    """Return the rows kept from two neighbouring ranges of blocks with ``n_rows`` rows in total."""
    return keep_smallest_priorities([left, right], rule.max_rows(n_rows))
