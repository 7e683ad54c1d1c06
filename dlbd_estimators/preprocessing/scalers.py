"""Scalers that use minima and maxima: one pass finds them, then each block is scaled lazily."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import sklearn.preprocessing

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.preprocessing.numeric import Operation
from dlbd_estimators.preprocessing.scaling import LazyScaler, fitted
from dlbd_estimators.preprocessing.statistics import ColumnStatistics, Floats


class _RangeScaler(LazyScaler):
    """Base of scalers that need only minima and maxima: scikit-learn's class is fitted to these.

    Parameters
    ----------
    copy : bool, default=True
        False allows to scale an array in memory in place. Lazy data is never changed.

    Attributes
    ----------
    n_samples_seen_ : int
        Number of rows of all batches.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over the data that the last fit made.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the minima and maxima of the columns.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). NaN is ignored.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        Self
            The fitted scaler.

        Raises
        ------
        ValueError
            X holds infinity (the message names row and column) or has no rows, or a parameter is
            out of range.
        TypeError
            X is not numeric.
        """
        if is_lazy(X):
            return self._fit_lazy(X, first=True)
        super().fit(self._in_memory(X), y)  # type: ignore[misc] # scikit-learn's, next in the MRO
        self.n_passes_ = 1.0
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Update the minima and maxima with another batch of rows.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            The batch, of shape (n_samples, n_features). NaN is ignored.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        Self
            The fitted scaler.
        """
        if is_lazy(X):
            return self._fit_lazy(X, first=not hasattr(self, "n_samples_seen_"))
        super().partial_fit(self._in_memory(X), y)  # type: ignore[misc] # scikit-learn's, next in the MRO
        self.n_passes_ = 1.0
        return self

    def inverse_transform(self, X: Any) -> Any:
        """Undo the scaling.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Scaled features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Features in their original units; a lazy Dask array if X is lazy.
        """
        if is_lazy(X):
            return self._inverse_lazy(X)
        return super().inverse_transform(X)  # type: ignore[misc] # scikit-learn's, next in the MRO

    def _extremes(self) -> tuple[Floats, Floats]:
        """Return the minima and maxima of earlier batches."""
        raise NotImplementedError

    def _set(
        self, statistics: ColumnStatistics, dtype: np.dtype[Any], *, first: bool, weighted: bool
    ) -> None:
        minimum, maximum = statistics.minimum, statistics.maximum
        n_rows = statistics.n_rows
        if not first:
            earlier = self._extremes()
            minimum, maximum = np.fmin(minimum, earlier[0]), np.fmax(maximum, earlier[1])
            n_rows += self.n_samples_seen_
        plain = type(self)(**self.get_params(deep=False))  # type: ignore[attr-defined] # scikit-learn's
        # For a column without any value scikit-learn sets NaN, but warns: fit to 0, then set NaN.
        nothing = np.isnan(minimum)
        plain.fit(np.where(nothing, 0.0, np.stack([minimum, maximum])).astype(dtype))
        for name, value in fitted(plain).items():
            if isinstance(value, np.ndarray):
                value[nothing] = np.nan
            setattr(self, name, value)
        self.n_samples_seen_ = n_rows


@documented_by_bases
class MinMaxScaler(_RangeScaler, sklearn.preprocessing.MinMaxScaler):
    """Scale every column to a given range.

    ``X_scaled = (X - min) / (max - min) * (b - a) + a`` for ``feature_range=(a, b)``. A constant
    column becomes ``a``. In memory this is scikit-learn's class; on lazy data ``fit`` makes one
    parallel pass, or none if the transformer before it knows the minima and maxima of its output.

    Parameters
    ----------
    feature_range : tuple (a, b), default=(0, 1)
        Range of the scaled data.
    clip : bool, default=False
        Whether to clip transformed values to the range.

    Attributes
    ----------
    min_ : ndarray of shape (n_features,)
        Offset of each column: ``X_scaled = X * scale_ + min_``.
    scale_ : ndarray of shape (n_features,)
        Factor of each column.
    data_min_ : ndarray of shape (n_features,)
        Minimum of each column, in the dtype of X (float64 for integers).
    data_max_ : ndarray of shape (n_features,)
        Maximum of each column.
    data_range_ : ndarray of shape (n_features,)
        ``data_max_ - data_min_``.

    Notes
    -----
    ``fit`` ignores NaN, and ``transform`` keeps it. With ``partial_fit``, a column may be all NaN
    in an earlier lazy batch (in scikit-learn it stays NaN then).

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.preprocessing import MinMaxScaler
    >>> X = da.arange(5, chunks=2).reshape(-1, 1)
    >>> MinMaxScaler().fit_transform(X).compute().ravel()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """

    def _extremes(self) -> tuple[Floats, Floats]:
        return self.data_min_, self.data_max_

    def _map_mean(self, mean: Floats, rest: Floats, dtype: np.dtype[Any]) -> tuple[Floats, Floats]:
        slope = self.scale_.astype(np.float64)
        return mean * slope + self.min_.astype(np.float64) + rest * slope, slope

    def _operations(self, dtype: np.dtype[Any]) -> list[Operation] | None:
        return None if self.clip else [(np.multiply, self.scale_), (np.add, self.min_)]

    def _cancelled(self) -> Floats:
        return np.asarray(2 * np.abs(self.min_), dtype=np.float64)

    def _statistics_follow(self, known: ColumnStatistics, minimum: Floats, maximum: Floats) -> bool:
        if not self.clip:
            return True
        # On the data of the fit, clipping only removes rounding errors. Other data may be clipped,
        # and then has to be read.
        inside = (known.minimum >= self.data_min_) & (known.maximum <= self.data_max_)
        return bool((inside | (known.count == 0)).all())


@documented_by_bases
class MaxAbsScaler(_RangeScaler, sklearn.preprocessing.MaxAbsScaler):
    """Scale every column by its largest absolute value.

    ``X_scaled = X / max |X|``. In memory this is scikit-learn's class; on lazy data ``fit`` makes
    one parallel pass, or none if the transformer before it knows the minima and maxima of its
    output.

    Parameters
    ----------
    clip : bool, default=False
        Whether to clip transformed values to [-1, 1].

    Attributes
    ----------
    max_abs_ : ndarray of shape (n_features,)
        Largest absolute value of each column, in the dtype of X (float64 for integers).
    scale_ : ndarray of shape (n_features,)
        Divisor of each column: ``max_abs_``, or 1 for a column of zeros.

    Notes
    -----
    ``fit`` ignores NaN, and ``transform`` keeps it. With ``partial_fit``, a column may be all NaN
    in an earlier lazy batch (in scikit-learn it stays NaN then).

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.preprocessing import MaxAbsScaler
    >>> X = da.arange(-4, 1, chunks=2).reshape(-1, 1)
    >>> MaxAbsScaler().fit_transform(X).compute().ravel()
    array([-1.  , -0.75, -0.5 , -0.25,  0.  ])
    """

    def _extremes(self) -> tuple[Floats, Floats]:
        return -self.max_abs_, self.max_abs_

    def _map_mean(self, mean: Floats, rest: Floats, dtype: np.dtype[Any]) -> tuple[Floats, Floats]:
        scale = self.scale_.astype(np.float64)
        return (mean + rest) / scale, 1 / scale

    def _operations(self, dtype: np.dtype[Any]) -> list[Operation] | None:
        return None if self.clip else [(np.divide, self.scale_)]

    def _statistics_follow(self, known: ColumnStatistics, minimum: Floats, maximum: Floats) -> bool:
        inside = (known.max_abs <= self.max_abs_) | (known.count == 0)
        return not self.clip or bool(inside.all())
