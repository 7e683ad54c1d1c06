"""Apply transformers to lazy data block by block, and return the container the user chose.

scikit-learn's ``set_output`` wraps the ``transform`` that a class defines, and would turn a
lazy result into a pandas frame in memory. Therefore :class:`LazyTransformer` is not a
``TransformerMixin``, so scikit-learn does not wrap its methods. For data in memory they call
scikit-learn's own (wrapped) method; for lazy results they choose the container themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from dask.base import tokenize
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.feature_names import check_columns, named_as_in_fit
from dlbd_estimators.base.to_sklearn import ToSklearnMixin
from dlbd_estimators.blocks.alignment import one_column_of_chunks
from dlbd_estimators.blocks.checks import CheckedFunction
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.row_functions import fuse_with_previous
from dlbd_estimators.blocks.sources import as_dask_collection, is_frame, is_lazy
from dlbd_estimators.engine.passes_together import RowPassGenerator
from dlbd_estimators.preprocessing import shared_statistics
from dlbd_estimators.preprocessing.columns import without_na
from dlbd_estimators.preprocessing.shared_statistics import NOTHING, Known

__all__ = [
    "LazyTransformer",
    "RowFunction",
    "check_columns",
    "check_lazy",
    "container",
    "map_rows",
    "transform_rows",
]

#: Maps a block of rows (NumPy array or pandas frame) to an array of as many rows.
RowFunction = Callable[[Any], Any]


class LazyTransformer(ToSklearnMixin):
    """Mixin before a scikit-learn transformer: lazy input gives lazy output.

    With data in memory the class behaves exactly as scikit-learn's. A subclass overrides ``fit``
    for lazy X, and ``_transform_lazy``. It must not define ``transform`` or ``fit_transform``
    itself, because scikit-learn would wrap them.
    """

    #: Whether ``fit`` needs the counts of distinct values, which a previous step may provide.
    needs_categories = False

    def transform(self, X: Any) -> Any:
        """Transform X.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Rows to transform, of shape (n_samples, n_features). Or an xarray Dataset or DataArray.

        Returns
        -------
        ndarray, DataFrame or lazy array of shape (n_samples, n_features_out)
            The transformed rows. For lazy X it is a Dask array, or a Dask data frame after
            ``set_output(transform="pandas")``.
        """
        if not is_lazy(X):
            # scikit-learn's, next in the MRO
            return super().transform(self._named(self._in_memory(X)))  # type: ignore[misc]
        check_is_fitted(self)
        return self._transform_lazy(X)

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit to X and transform it.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like, optional
            Passed on to ``fit``.
        **fit_params : dict
            Further arguments of ``fit``.

        Returns
        -------
        ndarray, DataFrame or lazy array of shape (n_samples, n_features_out)
            The transformed rows, as ``transform`` returns them.
        """
        if not is_lazy(X):
            return super().fit_transform(  # type: ignore[misc] # scikit-learn's
                self._in_memory(X), y, **fit_params
            )
        X = as_dask_collection("X", X)
        with shared_statistics.input_statistics(self):
            fitted: Any = self.fit(X, y, **fit_params)  # type: ignore[attr-defined] # scikit-learn's
            return fitted.transform(X)

    def _fit_by_passes(
        self, X: Any, known: Known, then: LazyTransformer | None = None
    ) -> RowPassGenerator[Known]:
        """Fit to lazy X as ``fit`` does, but request the passes instead of running them.

        It is a generator: see :mod:`dlbd_estimators.engine.passes_together`. This version is for
        transformers whose ``fit`` takes no pass.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame
            Features.
        known : Known
            What the previous step knows about X.
        then : LazyTransformer, optional
            The next step. This fit may also collect what the next step's fit needs, to save a pass.

        Returns
        -------
        Known
            What ``transform`` may assume about X.
        """
        self.fit(X)  # type: ignore[attr-defined] # scikit-learn's, next in the MRO
        return NOTHING
        yield

    def _in_memory(self, X: Any) -> Any:
        """Return X in memory with NaN instead of ``pandas.NA``, as in the blocks of lazy X."""
        return without_na(X)

    def _named(self, X: Any) -> Any:
        """Return X; an array without names becomes a frame, not copied, with the fit's names."""
        return named_as_in_fit(self, X)

    def _transform_lazy(self, X: Any) -> Any:
        raise NotImplementedError


def check_lazy(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check the shape of lazy X and its columns, for any dtype.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set if `reset`; otherwise X is
        compared with them.
    X : dask.array.Array, dask.dataframe.DataFrame or zarr.Array
        Features.
    reset : bool
        True in ``fit``, False afterwards.

    Returns
    -------
    dask.array.Array or dask.dataframe.DataFrame
        The same data. An array is rechunked so that each chunk holds all columns.

    Raises
    ------
    ValueError
        X does not have two dimensions, has no columns, is known to have no rows, or does not have
        the features of the fit.
    TypeError
        X is lazy in a way that is not supported, or its blocks are masked or sparse.
    """
    X = as_dask_collection("X", X)
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has shape {X.shape}. "
            f"Reshape it with X.reshape(-1, 1) if it holds one feature."
        )
    lazy_array = isinstance(X, da.Array)
    n_rows = X.shape[0] if lazy_array else np.nan  # the length of a frame would be computed
    if X.shape[1] == 0 or n_rows == 0:
        raise ValueError(
            f"Found array with {n_rows} sample(s) and {X.shape[1]} feature(s) while a minimum "
            f"of 1 is required."
        )
    check_columns(estimator, X, reset=reset)
    return one_column_of_chunks(X) if lazy_array else X


def map_rows(
    X: Any,
    function: RowFunction,
    *,
    dtype: Any = None,
    n_columns: int | None = None,
    meta: Any = None,
    name: str = "transform",
) -> da.Array:
    """Apply a function to every block of rows, lazily.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
        Result of ``check_lazy`` or ``lazy_features``.
    function : callable
        Maps a block (NumPy array or pandas frame, perhaps with no rows) to a NumPy array or SciPy
        CSR array with as many rows. It must not change the block.
    dtype : dtype, optional
        Dtype of the result. Without `dtype` or `n_columns`, `function` is called with one row to
        find out.
    n_columns : int, optional
        Number of columns of the result.
    meta : array, optional
        An empty result, instead of `dtype` and `n_columns`. It also determines the array type.
    name : str
        Prefix of the keys of the tasks.

    Returns
    -------
    dask.array.Array of shape (n_samples, n_columns)
        The result, with the row chunks of X. If X is a frame, their lengths are unknown (NaN).
    """
    if meta is None:
        if dtype is None or n_columns is None:
            meta = function(_one_row(X))[:0]
            meta = meta if dtype is None else meta.astype(dtype)
        else:
            meta = np.empty((0, n_columns), dtype=dtype)
    (X,) = merge_graphs(X)
    if is_frame(X):
        lazy: da.Array = X.map_partitions(CheckedFunction(function, X), meta=meta)
        return lazy
    before, checked = fuse_with_previous(X, function)
    mapped: da.Array = da.map_blocks(
        checked,
        before,
        dtype=meta.dtype,
        meta=meta,
        chunks=(X.chunks[0], (meta.shape[1],)),
        name=f"{name}-{tokenize(X.name, function)}",
    )
    return mapped


def transform_rows(
    estimator: Any,
    X: Any,
    function: RowFunction,
    *,
    dtype: Any = None,
    n_columns: int | None = None,
    meta: Any = None,
    name: str = "transform",
) -> Any:
    """Apply a function as :func:`map_rows` does, and honour ``set_output``.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator. Its ``set_output``, or scikit-learn's configuration, chooses the
        container; its ``get_feature_names_out`` names the columns.
    X : dask.array.Array or dask.dataframe.DataFrame
        Result of ``check_lazy`` or ``lazy_features``.
    function : callable
        Maps a block to an array with as many rows, as in :func:`map_rows`.
    dtype : dtype, optional
        Dtype of the result.
    n_columns : int, optional
        Number of columns of the result.
    meta : array, optional
        An empty result, instead of `dtype` and `n_columns`.
    name : str
        Prefix of the keys of the tasks.

    Returns
    -------
    dask.array.Array or dask.dataframe.DataFrame
        A Dask array by default, a Dask data frame (with the index of a Dask data frame X) for
        ``transform="pandas"``.

    Raises
    ------
    ValueError
        The container is "polars", or it is "pandas" and the result is sparse.
    """
    if meta is None and (dtype is None or n_columns is None):
        meta = function(_one_row(X))[:0]
        meta = meta if dtype is None else meta.astype(dtype)
    elif meta is None:
        meta = np.empty((0, n_columns), dtype=dtype)
    empty = container(estimator, meta)
    if not isinstance(empty, pd.DataFrame):
        return map_rows(X, function, meta=meta, name=name)
    if is_frame(X):
        framed = _Framed(CheckedFunction(function, X), empty.columns)
        return X.map_partitions(framed, meta=empty)
    import dask.dataframe as dd

    return dd.from_dask_array(map_rows(X, function, meta=meta, name=name), columns=empty.columns)


def container(estimator: Any, meta: Any) -> Any:
    """Return an empty result in the container that ``set_output`` selects.

    scikit-learn's own wrapper makes it. So the estimator's setting, the global setting, their
    precedence and the names of columns have the same effect as for data in memory.
    """
    cls: Any = type(estimator)
    probe: Any = object.__new__(_probe(cls))
    vars(probe).update(vars(estimator))
    try:
        empty = probe.transform(meta)
    except ImportError as error:  # polars, where it is not installed
        raise ValueError(_unsupported(error)) from error
    if isinstance(empty, pd.DataFrame) or type(empty) is type(meta):
        return empty
    raise ValueError(_unsupported(type(empty).__module__.partition(".")[0]))


def _unsupported(what: Any) -> str:
    return (
        f"The output container of lazy data can be 'default' (a Dask array) or 'pandas' (a Dask "
        f"data frame), but not another: {what}. Choose one with set_output(transform=...), or "
        f"transform data in memory."
    )


@cache
def _probe(cls: Any) -> Any:
    """Make a subclass whose ``transform`` returns X in the container of scikit-learn's wrapper."""

    class Probe(cls):
        def transform(self, X: Any) -> Any:
            return X

    return Probe


class _Framed:
    """Puts the result of a row function into a pandas frame with the index of the block."""

    def __init__(self, function: RowFunction, columns: pd.Index) -> None:
        self.function = function
        self.columns = columns

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(self.function(block), index=block.index, columns=self.columns)


def _one_row(X: Any) -> NDArray[Any] | pd.DataFrame:
    if is_frame(X):
        return X._meta_nonempty.iloc[:1]
    return np.zeros((1, X.shape[1]), dtype=X.dtype)
