"""Statistics of columns that ignore NaN, by block, and how two of them are joined."""

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

#: Values of a tile: its float64 copy and the deviations (1 MiB each) stay in the cache.
_TILE_VALUES = 2**17


@dataclass(frozen=True)
class ColumnStatistics:
    """What is known of the columns of some rows; float64 whatever the dtype of the rows.

    Parameters
    ----------
    n_rows : int
        Rows, with weights those of a weight other than 0.
    count : ndarray of shape (n_features,)
        Values that are not NaN.
    weight : ndarray of shape (n_features,)
        Sum of the weights of the values that are not NaN; without weights ``count``.
    mean : ndarray of shape (n_features,)
        Weighted mean; NaN where ``weight`` is 0.
    rest : ndarray of shape (n_features,)
        What rounding took from ``mean``. Means of 1e8 are known to 1e-8 alone, which is too
        little for the distance of two blocks' means where the spread is 1.
    m2 : ndarray of shape (n_features,)
        Weighted sum of squared deviations from the mean; 0 where ``weight`` is 0, and exactly
        0 where all values are equal.
    minimum, maximum : ndarray of shape (n_features,)
        NaN where there is no value.
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
        """Values that are NaN."""
        return self.n_rows - self.count


def merge(left: ColumnStatistics, right: ColumnStatistics) -> ColumnStatistics:
    """Return the statistics of the rows of both (Chan, Golub and LeVeque, 1983)."""
    weight = left.weight + right.weight
    # Infinite means (values beyond float64's range in sum) are scikit-learn's NaN, in silence.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        delta = (right.mean - left.mean) + (right.rest - left.rest)
        share = right.weight / weight
        mean, rest = exact_sum(left.mean, left.rest + delta * share)
        m2 = left.m2 + right.m2 + delta**2 * left.weight * share
    only_right, only_left = left.weight == 0, right.weight == 0
    if only_right.any() or only_left.any():

        def chosen(name: str, both: Floats) -> Floats:
            mine, other = getattr(left, name), getattr(right, name)
            return np.where(only_right, other, np.where(only_left, mine, both))

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

    Deviations are taken from the mean of a tile of rows, and tiles merged: columns of mean
    1e8 and spread 1 keep their variance.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Numbers; NaN is no value. It may have no rows.
    weight : ndarray of shape (n_rows,), optional
        Weights of the rows.
    names : sequence of str, optional
        Of the columns, for messages.

    Raises
    ------
    NonFiniteValues
        X holds infinity (names row and column), or the weights NaN or infinity.
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
    """Return the rounded sum and what rounding took from it (Knuth's TwoSum)."""
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
    # Of the tile as it is: of float32 these are a quarter of the work on its copy.
    minimum = reduced(np.fmin, tile).astype(np.float64)
    maximum = reduced(np.fmax, tile).astype(np.float64)
    count = np.full(n_features, float(n_rows))
    if len(places):
        columns = places % n_features if order == "C" else places // n_rows
        count -= np.bincount(columns, minlength=n_features)
    ones = np.ones(n_rows) if weight is None else weight
    # Summed alike for all columns: those without NaN have the same weight to the last bit.
    total = count if weight is None else (weight[:, np.newaxis] * ~missing).sum(axis=0)
    copy = memory.reshape(tile.shape, order=order)
    np.copyto(copy, tile)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # First about the first guess of the mean, and again about the corrected one: neither
        # sum loses digits to a large mean.
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
