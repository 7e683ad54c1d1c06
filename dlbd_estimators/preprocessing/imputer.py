"""Impute missing values: one pass finds the fill values, then blocks are filled lazily."""

from __future__ import annotations

from typing import Any, Self

import dask.array as da
import numpy as np
import pandas as pd
import sklearn.impute
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.loaded_values import check_fill
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.passes_together import RowPassGenerator, RowsPass, run_fit
from dlbd_estimators.preprocessing import shared_statistics
from dlbd_estimators.preprocessing.columns import known_dtype, numbers_dtype, without_na
from dlbd_estimators.preprocessing.fill import (
    FillRows,
    UnfillRows,
    filled_categories,
    filled_statistics,
)
from dlbd_estimators.preprocessing.lazy import (
    LazyTransformer,
    check_lazy,
    map_rows,
    transform_rows,
)
from dlbd_estimators.preprocessing.missing import (
    Present,
    PresentKernel,
    categories_of,
    is_nan,
    most_frequent,
)
from dlbd_estimators.preprocessing.numeric import in_memory
from dlbd_estimators.preprocessing.scaling import fitted
from dlbd_estimators.preprocessing.shared_statistics import NOTHING, Known


class SimpleImputer(LazyTransformer, sklearn.impute.SimpleImputer):
    """Replace missing values by the mean, the most frequent value or a constant of the column.

    In memory this is scikit-learn's class. On lazy data ``fit`` makes one parallel pass, and
    ``transform`` is lazy. In a pipeline, the pass also finds the statistics for a scaler after the
    imputer, and in many cases the categories for an encoder.

    Parameters
    ----------
    missing_values : int, float, str, np.nan, None or pandas.NA, default=np.nan
        The value that marks a missing entry. In columns of strings Dask converts NaN and None to
        the same missing value, so either of them means both.
    strategy : {"mean", "median", "most_frequent", "constant"} or callable, default="mean"
        How to choose the fill value. Among equally frequent values, "most_frequent" takes the
        smallest. "median" and callables need all values of a column at once, so X must be in
        memory. On lazy data "most_frequent" counts up to a million distinct values of a column.
    fill_value : str or number, default=None
        The constant of "constant"; None means 0, or "missing_value" for objects.
    copy : bool, default=True
        False allows to fill an array in memory in place. Lazy data is never changed.
    add_indicator : bool, default=False
        Whether to append, for each column with missing values in ``fit``, a column that is 1 where
        a value was missing.
    keep_empty_features : bool, default=False
        Whether to keep columns in which all values are missing in ``fit``. They are filled with 0,
        or with the constant.

    Attributes
    ----------
    statistics_ : ndarray of shape (n_features,)
        Fill values; NaN for a column without any value, which ``transform`` removes.
    indicator_ : sklearn.impute.MissingIndicator or None
        Computes the columns that ``add_indicator`` appends.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over the data that the last fit made.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from dlbd_estimators.preprocessing import SimpleImputer
    >>> X = da.asarray([[1.0], [np.nan], [3.0]])
    >>> SimpleImputer().fit_transform(X).compute().ravel()
    array([1., 2., 3.])
    """

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_fill(self)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the fill values.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Lazy columns of strings must be in a Dask
            data frame, or in a Dask array of dtype object.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        Self
            The fitted imputer.

        Raises
        ------
        ValueError
            ``strategy`` is "median" or a callable and X is lazy; X holds infinity, NaN that is not
            the missing value, or too many distinct values; or a parameter does not fit the data.
        """
        if not is_lazy(X):
            super().fit(self._in_memory(X), y)
            self.n_passes_ = 1.0
            return self
        known = shared_statistics.recorded_for(self, X)
        shared_statistics.record_input(self, run_fit(self._fit_by_passes(X, known)))
        return self

    def _fit_by_passes(
        self, X: Any, known: Known, then: LazyTransformer | None = None
    ) -> RowPassGenerator[Known]:
        rows = check_lazy(self, X, reset=True)
        if self.strategy == "median" or callable(self.strategy):
            raise ValueError(_needs_all(self.strategy))
        if self.strategy == "mean":
            _refuse_text(rows)
        # Fit scikit-learn's class to one row with the dtypes of X: it checks parameters and dtypes.
        plain = type(self)(**{**self.get_params(deep=False), "add_indicator": False})
        row = _one_row(rows, self.missing_values)
        plain.set_output(transform="default")
        try:
            dtype = plain.fit(row).transform(row).dtype
        except (TypeError, ValueError) as error:
            _name_columns(error, rows)
            raise
        statistics = known.statistics if self._spares_a_pass() else None
        if statistics is None:
            # The pass visits each object anyway; counting them saves the encoder's pass.
            counted = then is not None and then.needs_categories and dtype.kind == "O"
            present = yield from self._gather(rows, dtype, counted)
        else:
            present = _present(statistics)
        self._set(present, dtype)
        self.n_passes_ = float(statistics is None)
        if not is_nan(self.missing_values):
            return NOTHING
        return Known(present.statistics, categories_of(present, dtype))

    def inverse_transform(self, X: Any) -> Any:
        """Restore the missing values where the indicator columns are 1.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Result of ``transform``, of shape (n_samples, n_features_out).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Features with missing values, float64. In columns that ``transform`` removed, all values
            are missing.

        Raises
        ------
        ValueError
            The imputer has no indicator, X has another number of columns, or X has dtype object.
        """
        if not is_lazy(X):
            return super().inverse_transform(X)
        check_is_fitted(self)
        n_columns = len(self._kept()) + (len(self.indicator_.features_) if self.indicator_ else 0)
        if not self.add_indicator:
            super().inverse_transform(np.zeros((1, n_columns)))  # raises: there is no indicator
        rows = check_lazy(in_memory(self), X, reset=True)
        if rows.shape[1] != n_columns:
            raise ValueError(
                f"X has {rows.shape[1]} features, but inverse_transform is expecting {n_columns}: "
                f"{len(self._kept())} features and {len(self.indicator_.features_)} indicators."
            )
        if _dtype(rows, self.missing_values).kind == "O":
            raise ValueError(
                "inverse_transform needs numbers, but X holds objects. As in scikit-learn, it "
                "returns an array of floats."
            )
        unfill = UnfillRows(
            self.missing_values, self._kept(), self.indicator_.features_, len(self.statistics_)
        )
        return map_rows(
            rows,
            unfill,
            dtype=np.float64,
            n_columns=len(self.statistics_),
            name="simpleimputer-inverse",
        )

    def _transform_lazy(self, X: Any) -> Any:
        rows = check_lazy(self, X, reset=False)
        # scikit-learn's class transforms one row here: it checks the dtypes, warns once about
        # columns that it removes, and determines the dtype of the result.
        row, plain = _one_row(rows, self.missing_values), in_memory(self)
        if hasattr(self, "feature_names_in_") and isinstance(row, pd.DataFrame):
            plain.feature_names_in_ = self.feature_names_in_
            result = plain.transform(row)
        else:
            result = plain.transform(np.asarray(row))
        kept = self._kept()
        values = self.statistics_[kept].astype(result.dtype)
        indicators = self.indicator_.features_ if self.indicator_ else np.zeros(0, dtype=np.intp)
        fill = FillRows(self.missing_values, result.dtype, kept, values, indicators)
        output = transform_rows(self, rows, fill, meta=result[:0], name="simpleimputer-transform")
        known = shared_statistics.recorded_input(self)
        statistics, categories = known.statistics, known.categories
        if statistics is not None:
            statistics = filled_statistics(fill, statistics) if result.dtype.kind != "O" else None
        if categories is not None:
            # In a data frame, strings would have another dtype than the counted objects.
            categories = (
                filled_categories(fill, categories) if isinstance(output, da.Array) else None
            )
        shared_statistics.record_output(self, output, Known(statistics, categories))
        return output

    def _in_memory(self, X: Any) -> Any:
        # With another marker X stays unchanged: scikit-learn searches it for that marker.
        return without_na(X) if is_nan(self.missing_values) else X

    def _spares_a_pass(self) -> bool:
        return is_nan(self.missing_values) and self.strategy != "most_frequent"

    def _kept(self) -> NDArray[np.intp]:
        if self.keep_empty_features:
            return np.arange(len(self.statistics_))
        return np.flatnonzero(~pd.isna(self.statistics_))

    def _gather(self, rows: Any, dtype: np.dtype[Any], counted: bool) -> RowPassGenerator[Present]:
        needed = self.strategy == "most_frequent"
        names = getattr(self, "feature_names_in_", None)
        kernel = PresentKernel(dtype, self.missing_values, needed or counted, names, needed)
        present: Present = yield RowsPass([rows], kernel, kernel.combine, "simpleimputer-fit")
        if not present.n_rows:
            raise ValueError(
                f"Found array with 0 sample(s) and {rows.shape[1]} feature(s) while a minimum of "
                f"1 is required."
            )
        return present

    def _set(self, present: Present, dtype: np.dtype[Any]) -> None:
        empty = present.n_missing == present.n_rows
        # Fit scikit-learn's class to two rows with missing values in the same columns as the data.
        # The rest of its state (indicator, dtypes, constants) does not depend on the values.
        plain = type(self)(**self.get_params(deep=False))
        plain.fit(_two_rows(present, dtype, self.missing_values))
        self.__dict__.update(fitted(plain))
        empty_value = 0 if self.keep_empty_features else np.nan
        if self.strategy == "mean":
            assert present.statistics is not None  # a mean of objects was refused before
            self.statistics_ = np.where(empty, empty_value, present.statistics.mean)
        elif self.strategy == "most_frequent":
            assert present.counts is not None  # the kernel counts for this strategy
            top = [
                empty_value if none else most_frequent(counts)
                for none, counts in zip(empty, present.counts, strict=True)
            ]
            self.statistics_ = np.array(top, dtype=object if dtype.kind == "O" else np.float64)


def _refuse_text(rows: Any) -> None:
    lazy_array = isinstance(rows, da.Array)
    dtypes = {"X": rows.dtype} if lazy_array else dict(rows.dtypes)
    for label, dtype in dtypes.items():
        if numbers_dtype(dtype) is None:
            where = "X" if lazy_array else f"column {label!r} of X"
            raise ValueError(
                f"Cannot use mean strategy with non-numeric data: {where} has dtype {dtype}. "
                f"Convert columns that hold numbers with .astype('float64'), and choose "
                f"strategy='most_frequent' or 'constant' for all others."
            )


def _name_columns(error: Exception, rows: Any) -> None:
    if not isinstance(rows, da.Array):
        dtypes_shown = ", ".join(f"{label!r} ({dtype})" for label, dtype in rows.dtypes.items())
        error.args = (f"{error} The columns of X are {dtypes_shown}.",)


def _present(known: Any) -> Present:
    return Present(known.n_rows, known.n_missing.astype(np.int64), known, None)


def _dtype(rows: Any, marker: Any) -> np.dtype[Any]:
    return np.asarray(_one_row(rows, marker)).dtype


def _one_row(rows: Any, marker: Any) -> Any:
    """Return one row in memory that has the dtypes of X and no missing value."""
    lazy_array = isinstance(rows, da.Array)
    dtypes = (
        [rows.dtype] * rows.shape[1]
        if lazy_array
        else [known_dtype(column_dtype) for column_dtype in rows.dtypes]
    )
    cells = [
        np.full(1, _present_value(column_dtype, marker), dtype=column_dtype)
        for column_dtype in dtypes
    ]
    if lazy_array:
        return np.stack(cells, axis=1)
    row = pd.DataFrame(dict(enumerate(cells)))
    row.columns = rows.columns
    return row


def _two_rows(present: Present, dtype: np.dtype[Any], marker: Any) -> NDArray[Any]:
    """Return two rows. Columns with missing values lack one value, empty columns lack both."""
    value = _present_value(dtype, marker)
    lacking = np.stack([present.n_missing > 0, present.n_missing == present.n_rows])
    rows = np.full(lacking.shape, value, dtype=dtype)
    if lacking.any():  # with the marker NaN, integers have no missing values
        rows[lacking] = np.nan if is_nan(marker) else marker
    return rows


def _present_value(dtype: np.dtype[Any], marker: Any) -> Any:
    choices = ("a", "b") if dtype.kind in "OUST" else (0, 1)
    return choices[1] if not is_nan(marker) and marker == choices[0] else choices[0]


def _needs_all(strategy: Any) -> str:
    return (
        f"strategy={strategy!r} needs all values of a column at once, which lazy data does not "
        f"have in one place. Fit on a sample in memory, SimpleImputer(...).fit(X[:n].compute()), "
        f"whose transform is lazy on lazy data; or use 'mean', 'most_frequent' or 'constant'."
    )
