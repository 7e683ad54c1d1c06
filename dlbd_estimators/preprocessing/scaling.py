"""Base of the scalers: find statistics in one pass, then apply an affine map to every block."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.loaded_values import check_columns
from dlbd_estimators.engine.passes_together import RowPassGenerator, run_fit
from dlbd_estimators.preprocessing import shared_statistics
from dlbd_estimators.preprocessing.lazy import LazyTransformer, map_rows, transform_rows
from dlbd_estimators.preprocessing.numeric import (
    FloatRows,
    Operation,
    float_dtype,
    in_memory,
    numeric_rows,
)
from dlbd_estimators.preprocessing.shared_statistics import NOTHING, Known
from dlbd_estimators.preprocessing.statistics import ColumnStatistics, Floats
from dlbd_estimators.preprocessing.statistics_pass import statistics_by_passes

#: By the bytes of a value: largest size of a column's values, in standard deviations, for which
#: the statistics of the output are computed from those of the input. The rounding of the values
#: then is an error of at most 1e-12 standard deviations for float64, and 8e-6 for float32.
_MOST_ROUNDED = {8: 4096.0, 4: 64.0}


#: Attributes of scalers with a float for each feature.
_COLUMNS = (
    "mean_", "var_", "scale_", "min_", "data_min_", "data_max_", "data_range_", "max_abs_",
)  # fmt: skip


class LazyScaler(LazyTransformer):
    """Base of the scalers: ``fit`` and ``transform`` on lazy data.

    A subclass sets its attributes from statistics in ``_set``, and merges them there with the
    statistics of earlier batches. It describes its affine map in ``_map_mean`` and ``_operations``.
    """

    n_samples_seen_: Any

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_columns(self, _COLUMNS)

    def _fit_lazy(self, X: Any, sample_weight: Any = None, *, first: bool) -> Self:
        known = NOTHING if sample_weight is not None else shared_statistics.recorded_for(self, X)
        found = run_fit(self._statistics_by_passes(X, known, sample_weight, first=first))
        shared_statistics.record_input(self, found)
        return self

    def _fit_by_passes(
        self, X: Any, known: Known, then: LazyTransformer | None = None
    ) -> RowPassGenerator[Known]:
        return self._statistics_by_passes(X, known, first=True)

    def _statistics_by_passes(
        self, X: Any, known: Known, sample_weight: Any = None, *, first: bool
    ) -> RowPassGenerator[Known]:
        _check_parameters(self)
        rows = numeric_rows(self, X, reset=first)
        statistics = known.statistics
        n_passes = float(statistics is None)
        if statistics is None:
            names = getattr(self, "feature_names_in_", None)
            called = type(self).__name__.lower()
            statistics = yield from statistics_by_passes(rows, sample_weight, names, called)
        self._set(statistics, float_dtype(rows), first=first, weighted=sample_weight is not None)
        self.n_passes_ = n_passes
        return NOTHING if sample_weight is not None else Known(statistics)

    def _transform_lazy(self, X: Any) -> Any:
        rows = numeric_rows(self, X, reset=False)
        dtype = float_dtype(rows)
        output = transform_rows(
            self,
            rows,
            FloatRows(self, "transform"),
            dtype=dtype,
            n_columns=rows.shape[1],
            name=f"{type(self).__name__.lower()}-transform",
        )
        statistics = shared_statistics.recorded_input(self).statistics
        mapped = None if statistics is None else self._map_statistics(statistics, dtype)
        if mapped is not None:
            shared_statistics.record_output(self, output, Known(mapped))
        return output

    def _inverse_lazy(self, X: Any) -> Any:
        check_is_fitted(self)
        # A copy without names is reset to X: columns of X need not have the names of the fit.
        rows = numeric_rows(in_memory(self), X, reset=True)
        if rows.shape[1] != self.n_features_in_:  # type: ignore[attr-defined] # scikit-learn sets it
            raise ValueError(
                f"X has {rows.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."  # type: ignore[attr-defined] # scikit-learn's
            )
        return map_rows(
            rows,
            FloatRows(self, "inverse_transform"),
            dtype=float_dtype(rows),
            n_columns=rows.shape[1],
            name=f"{type(self).__name__.lower()}-inverse",
        )

    def _map_statistics(
        self, known: ColumnStatistics, dtype: np.dtype[Any]
    ) -> ColumnStatistics | None:
        """Return the statistics of the output; None if the input's do not determine them."""
        # The map and rounding keep the order of values: mapped extremes are the new extremes.
        extremes = np.stack([known.minimum, known.maximum]).astype(dtype)
        with np.errstate(over="ignore"):
            minimum, maximum = FloatRows(self, "transform")(extremes).astype(np.float64)
        mean, slope = self._map_mean(known.mean, known.rest, dtype)
        m2 = known.m2 * slope**2
        constant = minimum == maximum
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(m2 / known.weight)
        # Every value of the output is rounded, but this mean and variance ignore it. They are
        # accurate enough if the rounding is small compared with the standard deviation.
        rounded = np.abs(mean) + spread + self._cancelled()
        close = (rounded <= _MOST_ROUNDED.get(dtype.itemsize, 0.0) * spread) | constant
        if not (close | (known.count == 0)).all() or not self._statistics_follow(
            known, minimum, maximum
        ):
            return None
        return ColumnStatistics(
            n_rows=known.n_rows,
            count=known.count,
            weight=known.weight,
            mean=np.where(constant, minimum, mean),
            rest=np.zeros_like(mean),
            m2=np.where(constant, 0.0, m2),
            minimum=minimum,
            maximum=maximum,
        )

    def _set(
        self, statistics: ColumnStatistics, dtype: np.dtype[Any], *, first: bool, weighted: bool
    ) -> None:
        raise NotImplementedError

    def _map_mean(
        self, mean: Floats, rest: Floats, dtype: np.dtype[Any]
    ) -> tuple[Floats, Floats | float]:
        """Return the mapped means and the slope of the map, for the means ``mean + rest``.

        The parameters of the map are rounded to `dtype`, as in ``transform``.
        """
        raise NotImplementedError

    def _operations(self, dtype: np.dtype[Any]) -> list[Operation] | None:
        """Return ``transform`` of floats of `dtype` as a list of ufuncs; None if it is not one."""
        raise NotImplementedError

    def _cancelled(self) -> Floats | float:
        """Return, by column, how much larger the terms of the affine map are than its result."""
        return 0.0

    def _statistics_follow(self, known: ColumnStatistics, minimum: Floats, maximum: Floats) -> bool:
        raise NotImplementedError


def fitted(estimator: Any) -> dict[str, Any]:
    """Return the attributes that a fit has set, except those which describe its input."""
    of_input = ("n_features_in_", "feature_names_in_", "n_passes_")
    parameters = estimator.get_params(deep=False)
    return {k: v for k, v in vars(estimator).items() if k not in of_input and k not in parameters}


def _check_parameters(estimator: Any) -> None:
    # scikit-learn checks them in fit: before anything lazy is read.
    type(estimator)(**estimator.get_params(deep=False)).fit(np.zeros((1, 1)))
