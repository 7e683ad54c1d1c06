"""Encode categories as numbers: scikit-learn's encoders, lazy on Dask collections."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sklearn.preprocessing
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.feature_names import names_of_array
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.passes_together import RowPassGenerator, RowsPass, run_fit
from dlbd_estimators.preprocessing import shared_statistics
from dlbd_estimators.preprocessing.categories import (
    FindCategories,
    FoundCategories,
    as_given,
    infrequent,
    table_of,
)
from dlbd_estimators.preprocessing.encode_rows import DecodeRows, EncodeRows
from dlbd_estimators.preprocessing.lazy import (
    LazyTransformer,
    check_lazy,
    map_rows,
    transform_rows,
)
from dlbd_estimators.preprocessing.loaded_encoder import check_encoder
from dlbd_estimators.preprocessing.shared_statistics import NOTHING, Known
from dlbd_estimators.preprocessing.widening import cut


class _LazyEncoder(LazyTransformer):
    """Base of both encoders: their work on lazy data. It comes before scikit-learn's class.

    scikit-learn itself sets the fitted state: it is fitted to a small table, with as many rows as
    the largest number of categories of a column. It also encodes each block.

    Parameters
    ----------
    dtype : dtype, default=float64
        Dtype of the result.

    Attributes
    ----------
    infrequent_categories_ : list of ndarray
        Infrequent categories of each feature, or None.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over lazy data that the last fit made: 1, or 0 if the imputer before it in a pipeline
        has counted the categories; absent after a fit to data in memory.
    """

    needs_categories = True

    #: scikit-learn's class.
    _eager: Any
    #: Parameters that allow a table with values outside of ``categories``.
    _lenient: ClassVar[dict[str, Any]]

    categories: Any
    handle_unknown: str
    min_frequency: Any
    max_categories: Any

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_encoder(self)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Find the categories, in one pass over lazy data.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features): numbers, strings or categoricals.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        estimator
            The fitted encoder.

        Raises
        ------
        ValueError
            A parameter is out of range, a column has values that are not in ``categories`` or more
            than a million distinct values, or X is empty.
        TypeError
            A column mixes strings and numbers.
        """
        vars(self).pop("n_passes_", None)
        if not is_lazy(X):
            # scikit-learn's, next in the MRO
            return super().fit(self._in_memory(X), y)  # type: ignore[misc]
        run_fit(self._fit_by_passes(X, shared_statistics.recorded_for(self, X)))
        return self

    def _fit_by_passes(
        self, X: Any, known: Known, then: LazyTransformer | None = None
    ) -> RowPassGenerator[Known]:
        # scikit-learn raises errors on these parameters before the data is read.
        limits = {"min_frequency": self.min_frequency, "max_categories": self.max_categories}
        self._eager(**limits).fit([[0]])
        X = check_lazy(self, X, reset=True)
        names = getattr(X, "columns", None)
        if names is None and names_of_array(X) is not None:
            names = pd.Index(names_of_array(X))
        found = known.categories
        n_passes = float(found is None)
        if found is None:
            find = FindCategories(range(X.shape[1]) if names is None else map(repr, names))
            called = f"{type(self).__name__.lower()}-fit"
            found = yield RowsPass([X], find.kernel, find.combine, called)
        if not found.n_rows:
            raise ValueError(
                f"Found array with 0 sample(s) (shape=(0, {X.shape[1]})) while a minimum of 1 "
                f"is required."
            )
        table = table_of([column.values for column in found.columns], names)
        if all(limit is None for limit in limits.values()):
            super().fit(table)  # type: ignore[misc] # scikit-learn's
        else:
            self._fit_infrequent(found, table, names)
        self.n_passes_ = n_passes
        return NOTHING

    def _fit_infrequent(self, found: FoundCategories, table: Any, names: pd.Index | None) -> None:
        """Fit scikit-learn's class to a table that holds only the frequent categories.

        With ``min_frequency=1``, it then treats all categories that do not occur as infrequent.
        """
        unknown = "error" if self.handle_unknown == "error" else "ignore"
        finder = sklearn.preprocessing.OneHotEncoder(
            categories=self.categories, handle_unknown=unknown
        )
        categories = finder.fit(table).categories_
        frequent = []
        for values, column in zip(categories, found.columns, strict=True):
            counts = column.counts_of(values)
            eligible = self._eligible(values)
            rare = np.zeros(len(values), dtype=bool)
            rare[eligible] = infrequent(
                counts[eligible], found.n_rows, self.min_frequency, self.max_categories
            )
            frequent.append(as_given(values)[~rare])
        params = self.get_params(deep=False)  # type: ignore[attr-defined] # scikit-learn's
        params |= {
            "categories": [as_given(values) for values in categories],
            "min_frequency": 1,
            "max_categories": None,
        }
        if self.handle_unknown == "error":  # `finder` has refused unknown values
            params |= self._lenient
        encoder = self._eager(**params).fit(table_of(frequent, names))
        vars(self).update({k: v for k, v in vars(encoder).items() if k not in params})
        self.categories_ = categories

    def _eligible(self, categories: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask of the categories that can be infrequent."""
        return np.ones(len(categories), dtype=bool)

    def _transform_lazy(self, X: Any) -> Any:
        X = check_lazy(self, X, reset=False)
        encoder = self._block_encoder()
        like = encoder.transform(self._first_categories())
        return transform_rows(
            self,
            cut(X, like.shape[1] * like.itemsize),
            EncodeRows(encoder, like[:0]),
            dtype=like.dtype,
            n_columns=like.shape[1],
            name=f"{type(self).__name__.lower()}-transform",
        )

    def inverse_transform(self, X: Any) -> Any:
        """Convert codes back to categories.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Result of ``transform``, of shape (n_samples, n_encoded_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Categories; a lazy Dask array if X is lazy. A lazy result has dtype object if
            ``handle_unknown`` allows unknown categories, which become None. scikit-learn's result
            has dtype object only if there are unknown categories.
        """
        if not is_lazy(X):
            return super().inverse_transform(X)  # type: ignore[misc] # scikit-learn's
        check_is_fitted(self)
        encoder = self._block_encoder()
        codes = encoder.transform(self._first_categories())
        # The columns of X are not the features of the fit: check them with another estimator.
        X = check_lazy(BaseEstimator(), X, reset=True)
        if X.shape[1] != codes.shape[1]:
            raise ValueError(
                f"Shape of the passed X data is not correct. Expected {codes.shape[1]} columns, "
                f"got {X.shape[1]}."
            )
        like = encoder.inverse_transform(codes)[:0]
        if self.handle_unknown != "error":
            like = like.astype(object)
        return map_rows(
            X,
            DecodeRows(encoder, like),
            meta=like,
            name=f"{type(self).__name__.lower()}-inverse",
        )

    def _first_categories(self) -> Any:
        first = [values[:1] for values in self.categories_]
        # pandas does not support all units of NumPy's dates: a table of dates stays an array.
        dates = len({values.dtype for values in first}) == 1 and first[0].dtype.kind in "mM"
        return table_of(first, None if dates else pd.RangeIndex(len(first)))

    def _block_encoder(self) -> Any:
        """Return a copy for blocks: it returns dense NumPy arrays and does not check names."""
        encoder = copy.deepcopy(self)
        encoder.set_output(transform="default")  # type: ignore[attr-defined] # scikit-learn's
        vars(encoder).pop("feature_names_in_", None)
        if hasattr(encoder, "sparse_output"):
            encoder.sparse_output = False
        return encoder


@documented_by_bases
class OneHotEncoder(_LazyEncoder, sklearn.preprocessing.OneHotEncoder):
    """Encode each category as a column of zeros and ones.

    In memory this is scikit-learn's class. On lazy data ``fit`` makes one pass, and ``transform``
    is lazy and **always dense**, for any ``sparse_output``. Each thread holds the dense form of one
    block at a time.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        Categories of each feature; "auto" means the categories that occur in the data.
    drop : {"first", "if_binary"} or array-like of shape (n_features,), default=None
        Category of each feature that gets no column.
    sparse_output : bool, default=True
        Whether to return a CSR matrix for data in memory. Lazy results are dense.
    handle_unknown : {"error", "ignore", "infrequent_if_exist", "warn"}, default="error"
        What ``transform`` does with a category that ``fit`` has not seen. On lazy data the error
        or warning is raised when the block is computed.
    min_frequency : int or float, default=None
        Categories with fewer rows than this, or with a smaller share of the rows, share one
        column.
    max_categories : int, default=None
        Largest number of columns of a feature, including the column that infrequent categories
        share.
    feature_name_combiner : "concat" or callable, default="concat"
        Makes the name of a column from its feature and its category.

    Attributes
    ----------
    categories_ : list of ndarray
        Sorted categories of each feature, at most a million. The missing strings of a Dask data
        frame (``pandas.NA``) count as NaN.
    drop_idx_ : ndarray of shape (n_features,) or None
        For each feature, the index in ``categories_`` of the category without a column.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from dlbd_estimators.preprocessing import OneHotEncoder
    >>> X = da.from_array(np.array([["a"], ["b"], ["a"]], dtype=object), chunks=(2, 1))
    >>> OneHotEncoder().fit_transform(X).compute()
    array([[1., 0.],
           [0., 1.],
           [1., 0.]])
    """

    _eager = sklearn.preprocessing.OneHotEncoder
    _lenient: ClassVar[dict[str, Any]] = {"handle_unknown": "ignore"}


@documented_by_bases
class OrdinalEncoder(_LazyEncoder, sklearn.preprocessing.OrdinalEncoder):
    """Encode each category as an integer.

    In memory this is scikit-learn's class. On lazy data ``fit`` makes one pass, and ``transform``
    is lazy.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        Categories of each feature in the order of their codes; "auto" means the sorted categories
        that occur in the data.
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        What ``transform`` does with a category that ``fit`` has not seen. On lazy data the error
        is raised when the block is computed.
    unknown_value : int or NaN, default=None
        Code of unknown categories.
    encoded_missing_value : int or NaN, default=NaN
        Code of NaN.
    min_frequency : int or float, default=None
        Categories with fewer rows than this, or with a smaller share of the rows, share one code.
    max_categories : int, default=None
        Largest number of codes of a feature. The code that infrequent categories share counts; the
        codes of NaN and of unknown categories do not.

    Attributes
    ----------
    categories_ : list of ndarray
        Categories of each feature, at most a million. The missing strings of a Dask data frame
        (``pandas.NA``) count as NaN.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from dlbd_estimators.preprocessing import OrdinalEncoder
    >>> X = da.from_array(np.array([["a"], ["b"], ["a"]], dtype=object), chunks=(2, 1))
    >>> OrdinalEncoder().fit_transform(X).compute()
    array([[0.],
           [1.],
           [0.]])
    """

    _eager = sklearn.preprocessing.OrdinalEncoder
    _lenient: ClassVar[dict[str, Any]] = {
        "handle_unknown": "use_encoded_value",
        "unknown_value": -1,
    }

    def _eligible(self, categories: NDArray[Any]) -> NDArray[np.bool_]:
        # NaN has a code of its own, however rare it is.
        return np.array([value == value for value in categories], dtype=bool)  # noqa: PLR0124 - NaN
