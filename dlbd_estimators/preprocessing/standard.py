"""Standardisation: one pass finds means and variances, then each block is scaled lazily."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import sklearn.preprocessing
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.callback import with_callbacks
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.preprocessing.lazy import LazyTransformer
from dlbd_estimators.preprocessing.numeric import Operation
from dlbd_estimators.preprocessing.scaling import LazyScaler
from dlbd_estimators.preprocessing.statistics import ColumnStatistics, Floats, merge


class _TransformWithCopy(LazyScaler):
    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """Standardise X.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Rows of shape (n_samples, n_features).
        copy : bool, optional
            Replaces the parameter ``copy`` of the class, for X in memory.

        Returns
        -------
        ndarray, DataFrame or lazy array of shape (n_samples, n_features)
            The standardised rows. For lazy X it is a Dask array, or a Dask data frame after
            ``set_output(transform="pandas")``.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return self._transform_lazy(X)
        return super(LazyTransformer, self).transform(  # type: ignore[misc] # scikit-learn's
            self._named(self._in_memory(X)), copy
        )


class StandardScaler(_TransformWithCopy, sklearn.preprocessing.StandardScaler):
    """Scale every column to mean 0 and variance 1.

    ``z = (x - mean) / sqrt(var)``, where ``var`` is the mean of the squared deviations. A column
    that is constant, except for rounding, is not divided. In memory this is scikit-learn's class;
    on lazy data ``fit`` makes one parallel pass, or none if the transformer before it knows the
    means and variances of its output.

    Parameters
    ----------
    copy : bool, default=True
        False allows to scale an array in memory in place. Lazy data is never changed.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,) or None
        Mean of each column, float64; None without ``with_mean`` and ``with_std``.
    var_ : ndarray of shape (n_features,) or None
        Variance of each column, float64; None without ``with_std``.
    scale_ : ndarray of shape (n_features,) or None
        Divisor of each column: its standard deviation, or 1; None without ``with_std``.
    n_samples_seen_ : int, float or ndarray of shape (n_features,)
        Number of values of each column that are not NaN, or the sum of their weights; a single
        number if it is the same for all columns.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over the data that the last fit made.

    Notes
    -----
    Sums are float64 for any dtype of X. Blocks are merged by the update formula of Chan, Golub and
    LeVeque (1983), in a fixed tree, so the result has the same bits for any number of workers. With
    ``partial_fit``, a column may be all NaN in an earlier lazy batch (in scikit-learn the mean
    stays NaN then).

    If the previous transformer provides the means and variances of its output, they ignore the
    rounding of the transformed values. They are used if rounding changes them by at most 1e-12
    standard deviations of a column (8e-6 for float32). If it may change them by more, ``fit`` makes
    a pass.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.preprocessing import StandardScaler
    >>> X = da.asarray([[0.0], [0.0], [2.0], [2.0]])
    >>> StandardScaler().fit_transform(X).compute().ravel()
    array([-1., -1.,  1.,  1.])
    """

    mean_: Any
    var_: Any
    scale_: Any

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the means and variances of the columns.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). NaN is ignored.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights of the rows. With lazy X, its chunks may differ from those of X.

        Returns
        -------
        Self
            The fitted scaler.

        Raises
        ------
        ValueError
            X holds infinity (the message names row and column) or has no rows, the weights do not
            fit, or a parameter is out of range.
        TypeError
            X is not numeric.
        """
        if is_lazy(X):
            self._fit_with_callbacks(X, y, sample_weight, first=True)
            return self
        super().fit(self._in_memory(X), y, _in_memory_weight(sample_weight))
        self.n_passes_ = 1.0
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Update the means and variances with another batch of rows.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            The batch, of shape (n_samples, n_features). NaN is ignored.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights of the rows. With lazy X, its chunks may differ from those of X.

        Returns
        -------
        Self
            The fitted scaler.
        """
        if is_lazy(X):
            first = not hasattr(self, "n_samples_seen_")
            self._fit_with_callbacks(X, y, sample_weight, first=first)
            return self
        super().partial_fit(self._in_memory(X), y, _in_memory_weight(sample_weight))
        self.n_passes_ = 1.0
        return self

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Any:
        """Undo the scaling.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Scaled features of shape (n_samples, n_features).
        copy : bool, optional
            Replaces the parameter ``copy`` of the class, for X in memory.

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Features in their original units; a lazy Dask array if X is lazy.
        """
        return self._inverse_lazy(X) if is_lazy(X) else super().inverse_transform(X, copy)

    @with_callbacks
    def _fit_with_callbacks(self, X: Any, y: Any, sample_weight: Any, *, first: bool) -> None:
        context = self._init_callback_context()
        metadata = {"sample_weight": sample_weight}
        context.call_on_fit_task_begin(estimator=self, X=X, y=y, metadata=metadata)
        self._fit_lazy(X, sample_weight, first=first)
        context.call_on_fit_task_end(
            estimator=self, X=X, y=y, metadata=metadata, reconstruction_attributes={}
        )

    def _set(
        self, statistics: ColumnStatistics, dtype: np.dtype[Any], *, first: bool, weighted: bool
    ) -> None:
        counted_only = not (self.with_mean or self.with_std)
        if counted_only:
            # As in scikit-learn, these are counts of values, not sums of weights.
            seen: NDArray[Any] = statistics.count.astype(dtype if weighted else np.int64)
            seen = seen if first else seen + self.n_samples_seen_
        else:
            statistics = statistics if first else merge(self._earlier(statistics), statistics)
            seen = statistics.weight
        self.mean_ = None if counted_only else statistics.mean
        self.var_ = statistics.variance if self.with_std else None
        self.n_samples_seen_ = seen[0] if seen.max() == seen.min() else seen
        self.scale_ = None
        if self.with_std:
            constant = _constant(self.var_, self.mean_, self.n_samples_seen_)
            self.scale_ = np.where(constant, 1.0, np.sqrt(self.var_))

    def _of_moments(self, mean: Floats, variance: Floats, n_rows: int) -> Self:
        """Return a clone that is fitted to data with the given means and variances."""
        seen, none = np.full(len(mean), float(n_rows)), np.full(len(mean), np.nan)
        zeros = np.zeros(len(mean))
        statistics = ColumnStatistics(n_rows, seen, seen, mean, zeros, variance * seen, none, none)
        fitted: Self = clone(self)
        fitted._set(statistics, np.dtype(np.float64), first=True, weighted=False)
        return fitted

    def _earlier(self, like: ColumnStatistics) -> ColumnStatistics:
        shape = like.mean.shape
        seen = np.broadcast_to(np.asarray(self.n_samples_seen_, dtype=np.float64), shape)
        variance = np.zeros(shape) if self.var_ is None else np.where(seen == 0, 0.0, self.var_)
        nothing, zeros = np.full(shape, np.nan), np.zeros(shape)
        m2 = variance * seen
        return ColumnStatistics(0, seen, seen, self.mean_, zeros, m2, nothing, nothing)

    def _map_mean(
        self, mean: Floats, rest: Floats, dtype: np.dtype[Any]
    ) -> tuple[Floats, Floats | float]:
        # transform rounds its parameters to the dtype of X.
        slope: Floats | float = 1.0
        mean = (mean - self.mean_.astype(dtype) if self.with_mean else mean) + rest
        if self.with_std:
            scale = self.scale_.astype(dtype).astype(np.float64)
            mean, slope = mean / scale, 1 / scale
        return mean, slope

    def _operations(self, dtype: np.dtype[Any]) -> list[Operation]:
        found: list[Operation] = []
        if self.with_mean:
            found.append((np.subtract, self.mean_.astype(dtype)))
        if self.with_std:
            found.append((np.divide, self.scale_.astype(dtype)))
        return found

    def _statistics_follow(self, known: ColumnStatistics, minimum: Floats, maximum: Floats) -> bool:
        # The variance of a column that is constant except for rounding is only a rounding error.
        rounding = _constant(known.variance, known.mean, known.weight)
        return not (rounding & (minimum != maximum)).any()


def _constant(variance: Floats, mean: Floats, n_samples: Any) -> NDArray[np.bool_]:
    """Return a mask of columns whose variance may be only rounding error (scikit-learn's bound)."""
    eps = np.finfo(np.float64).eps
    return np.asarray(variance <= n_samples * eps * variance + (n_samples * mean * eps) ** 2)


def _in_memory_weight(sample_weight: Any) -> Any:
    if is_lazy(sample_weight):
        raise TypeError(
            "sample_weight is lazy but X is in memory. Pass both as Dask collections, or none."
        )
    return sample_weight
