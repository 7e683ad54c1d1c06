"""Standardisation: means and variances in one pass, then an affine map of every block."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import sklearn.preprocessing
from numpy.typing import NDArray
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
            In place of the parameter ``copy``, for X in memory.

        Returns
        -------
        ndarray, DataFrame or lazy array of shape (n_samples, n_features)
            As for :class:`LazyTransformer`.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return self._transform_lazy(X)
        return super(LazyTransformer, self).transform(  # type: ignore[misc] # scikit-learn's
            self._in_memory(X), copy
        )


class StandardScaler(_TransformWithCopy, sklearn.preprocessing.StandardScaler):
    """Bring every column to mean 0 and variance 1.

    ``z = (x - mean) / sqrt(var)``, with the population's variance; a column that is constant to
    rounding is not divided. In memory this is scikit-learn's class; on lazy data ``fit`` makes
    one parallel pass, or none where a transformer before it knows the statistics of its output.

    Parameters
    ----------
    copy : bool, default=True
        False may scale an array in memory in place. Lazy data is never changed.
    with_mean : bool, default=True
        Subtract the mean.
    with_std : bool, default=True
        Divide by the standard deviation.

    Attributes
    ----------
    mean_, var_ : ndarray of shape (n_features,) or None
        Mean and variance, float64; None where scikit-learn's are.
    scale_ : ndarray of shape (n_features,) or None
        Divisors: standard deviations, or 1.
    n_samples_seen_ : int, float or ndarray of shape (n_features,)
        Values of a column that are not NaN (or their weight); one number where all agree.
    n_features_in_, feature_names_in_
        As for scikit-learn.
    n_passes_ : float
        Passes over the data that the last fit made.

    Notes
    -----
    Sums are float64 whatever the dtype of X; blocks are joined by the update of Chan, Golub and
    LeVeque (1983), in a fixed tree: the same bits for any number of workers. With
    ``partial_fit`` a column may be all NaN in an earlier lazy batch (scikit-learn's mean stays
    NaN then).

    Statistics that follow from those of the transformer before are those of its map without
    the rounding of every value. They are used where that is at most 1e-12 standard deviations
    of a column (8e-6 for float32), and a pass is made where it may be more.

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
            Features of shape (n_samples, n_features); NaN is no value.
        y : None
            There for pipelines.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights of the rows; for lazy X its chunks need not be those of X.

        Returns
        -------
        Self
            The fitted scaler.

        Raises
        ------
        ValueError
            Infinity (names row and column), no rows, weights that do not fit, a parameter out
            of range.
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
        """Join the statistics of a further batch to those of earlier ones.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

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
            In place of the parameter ``copy``, for X in memory.

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Lazy where X is lazy.
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
            # As scikit-learn: counts of values, not weights.
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

    def _follows(self, known: ColumnStatistics, minimum: Floats, maximum: Floats) -> bool:
        # The spread of a column that is constant but for rounding is rounding.
        rounding = _constant(known.variance, known.mean, known.weight)
        return not (rounding & (minimum != maximum)).any()


def _constant(variance: Floats, mean: Floats, n_samples: Any) -> NDArray[np.bool_]:
    """Tell columns whose variance is within the error of computing it (scikit-learn's bound)."""
    eps = np.finfo(np.float64).eps
    return np.asarray(variance <= n_samples * eps * variance + (n_samples * mean * eps) ** 2)


def _in_memory_weight(sample_weight: Any) -> Any:
    if is_lazy(sample_weight):
        raise TypeError(
            "sample_weight is lazy but X is in memory. Pass both as Dask collections, or none."
        )
    return sample_weight
