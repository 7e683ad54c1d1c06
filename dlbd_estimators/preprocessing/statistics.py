"""Statistics of the columns of a block, which ignore NaN, and their merging for two blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.kernels.kernel import scratch
from dlbd_estimators.preprocessing.infinity import refuse_infinity
from dlbd_estimators.preprocessing.narrow_rows import in_place, reduced

Floats = NDArray[np.float64]

#: Number of values of a tile: its float64 copy and the deviations (1 MiB each) stay in the cache.
_TILE_VALUES = 2**17


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of the columns of a set of rows; float64 for any dtype of the rows.

    Parameters
    ----------
    n_rows : int
        Number of rows. With weights, rows with weight 0 are not counted.
    count : ndarray of shape (n_features,)
        Number of values that are not NaN.
    weight : ndarray of shape (n_features,)
        Sum of the weights of the values that are not NaN; without weights ``count``.
    mean : ndarray of shape (n_features,)
        Weighted mean; NaN where ``weight`` is 0.
    rest : ndarray of shape (n_features,)
        Rounding error of ``mean``: ``mean + rest`` is more exact. A float64 mean near 1e8 has an
        error near 1e-8, too large for the difference of two blocks' means if the standard
        deviation is 1.
    m2 : ndarray of shape (n_features,)
        Weighted sum of squared deviations from the mean; 0 where ``weight`` is 0, and exactly
        0 where all values are equal.
    minimum, maximum : ndarray of shape (n_features,)
        Smallest and largest value; NaN where there is no value.
    """

    n_rows: int
    count: Floats
    weight: Floats
    mean: Floats
    rest: Floats
    m2: Floats
    minimum: Floats
    maximum: Floats

    @property
    def variance(self) -> Floats:
        """Mean squared deviation, NaN where ``weight`` is 0."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.m2 / self.weight)

    @property
    def max_abs(self) -> Floats:
        """Largest absolute value, NaN where there is no value."""
        return np.fmax(np.abs(self.minimum), np.abs(self.maximum))

    @property
    def n_missing(self) -> Floats:
        """Number of values that are NaN."""
        return self.n_rows - self.count


def merge(left: ColumnStatistics, right: ColumnStatistics) -> ColumnStatistics:
    """Return the statistics of the rows of both (Chan, Golub and LeVeque, 1983)."""
    weight = left.weight + right.weight
    # If the sum of the values overflows float64, means become NaN as in scikit-learn; no warning.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        delta = (right.mean - left.mean) + (right.rest - left.rest)
        share = right.weight / weight
        mean, rest = exact_sum(left.mean, left.rest + delta * share)
        m2 = left.m2 + right.m2 + delta**2 * left.weight * share
    only_right, only_left = left.weight == 0, right.weight == 0
    if only_right.any() or only_left.any():

        def chosen(name: str, both: Floats) -> Floats:
            this, other = getattr(left, name), getattr(right, name)
            return np.where(only_right, other, np.where(only_left, this, both))

        mean, rest, m2 = chosen("mean", mean), chosen("rest", rest), chosen("m2", m2)
    return ColumnStatistics(
        n_rows=left.n_rows + right.n_rows,
        count=left.count + right.count,
        weight=weight,
        mean=mean,
        rest=rest,
        m2=m2,
        minimum=np.fmin(left.minimum, right.minimum),
        maximum=np.fmax(left.maximum, right.maximum),
    )


def column_statistics(
    X: NDArray[Any], weight: NDArray[Any] | None = None, names: Any = None
) -> ColumnStatistics:
    """Return the statistics of the columns of one block.

    Deviations are taken from the mean of each tile of rows, and the tiles are merged. So a column
    with mean 1e8 and standard deviation 1 keeps its variance.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Numbers. NaN are ignored. X may have no rows.
    weight : ndarray of shape (n_rows,), optional
        Weights of the rows.
    names : sequence of str, optional
        Names of the columns, for messages.

    Raises
    ------
    NonFiniteValues
        X holds infinity (the message names row and column), or the weights hold NaN or infinity.
    """
    if weight is not None:
        if not np.isfinite(weight).all():
            row = int(np.flatnonzero(~np.isfinite(weight))[0])
            raise NonFiniteValues(
                f"Input sample_weight contains NaN or infinity at row {row} of the block."
            )
        keep = weight != 0
        X, weight = (X, weight) if keep.all() else (X[keep], weight[keep])
    n_rows, n_features = X.shape
    rows = max(1, _TILE_VALUES // max(1, n_features))
    total = _nothing(n_features)
    for start in range(0, n_rows, rows):
        part = slice(start, start + rows)
        tile = X[part]
        if tile.dtype.kind != "f":
            tile = tile.astype(np.float64)
        tile_weight = None if weight is None else weight[part].astype(np.float64)
        found = _tile_statistics(tile, tile_weight)
        if np.isinf(found.minimum).any() or np.isinf(found.maximum).any():
            refuse_infinity(tile, start=start, names=names)
        total = merge(total, found)
    return total


def exact_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and its rounding error, which add up exactly (Knuth's TwoSum)."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b
        part = total - a
        rest = (a - (total - part)) + (b - part)
    return total, np.where(np.isfinite(rest), rest, 0.0)


def _tile_statistics(tile: NDArray[Any], weight: Floats | None) -> ColumnStatistics:
    """Return the statistics of a tile of floats."""
    n_rows, n_features = tile.shape
    between_rows, between_columns = map(abs, tile.strides)
    order: Literal["C", "F"] = "F" if between_rows < between_columns else "C"
    mask, memory = scratch("missing", (tile.size,), np.bool_), scratch("statistics", (tile.size,))
    missing = np.isnan(tile, out=mask.reshape(tile.shape, order=order))
    places = np.flatnonzero(mask)
    # Before the conversion to float64: for float32 this takes a quarter of the time.
    minimum = reduced(np.fmin, tile).astype(np.float64)
    maximum = reduced(np.fmax, tile).astype(np.float64)
    count = np.full(n_features, float(n_rows))
    if len(places):
        columns = places % n_features if order == "C" else places // n_rows
        count -= np.bincount(columns, minlength=n_features)
    ones = np.ones(n_rows) if weight is None else weight
    # Sum in the same way for all columns: columns without NaN then have exactly equal weights.
    total = count if weight is None else (weight[:, np.newaxis] * ~missing).sum(axis=0)
    copy = memory.reshape(tile.shape, order=order)
    np.copyto(copy, tile)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Subtract a first estimate of the mean, then correct mean and variance by the mean of the
        # deviations (drift): a large mean then costs no digits.
        memory[places] = 0.0
        mean = (ones @ copy) / total
        in_place(np.subtract, copy, mean)
        memory[places] = 0.0
        drift = (ones @ copy) / total
        m2 = ones @ np.square(copy, out=copy) - drift**2 * total
        mean, rest = exact_sum(mean, drift)
    constant = (minimum == maximum) & (total != 0)
    none = total == 0
    return ColumnStatistics(
        n_rows=n_rows,
        count=count,
        weight=total,
        mean=np.where(constant, minimum, np.where(none, np.nan, mean)),
        rest=np.where(constant | none, 0.0, rest),
        m2=np.where(constant | none, 0.0, m2),
        minimum=minimum,
        maximum=maximum,
    )


def _nothing(n_features: int) -> ColumnStatistics:
    zeros, nan = np.zeros(n_features), np.full(n_features, np.nan)
    return ColumnStatistics(0, zeros, zeros, nan, zeros, zeros, nan, nan)
