"""Categories to numbers: scikit-learn's encoders, lazy on Dask collections."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sklearn.preprocessing
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.column_passes import reduce_rows
from dlbd_estimators.preprocessing.categories import (
    FindCategories,
    Found,
    as_given,
    infrequent,
    table_of,
)
from dlbd_estimators.preprocessing.columns import without_na
from dlbd_estimators.preprocessing.lazy import (
    LazyTransformer,
    check_lazy,
    map_rows,
    transform_rows,
)
from dlbd_estimators.preprocessing.widening import check_room, cut


class _LazyEncoder(LazyTransformer):
    """What both encoders do with lazy data; in front of scikit-learn's class.

    scikit-learn itself sets the fitted state, from a table of no more rows than the largest
    column has categories, and itself encodes each block.
    """

    #: scikit-learn's class.
    _eager: Any
    #: Parameters of a fit whose table also holds what is in no category.
    _lenient: ClassVar[dict[str, Any]]

    categories: Any
    handle_unknown: str
    min_frequency: Any
    max_categories: Any

    def fit(self, X: Any, y: Any = None) -> Any:
        """Find the categories, in one pass over lazy data.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features): numbers, strings or categoricals.
        y : None
            Not used; scikit-learn's pipelines pass it.

        Returns
        -------
        estimator
            The fitted encoder.

        Raises
        ------
        ValueError
            A parameter is wrong; a column has values that are not in ``categories``, or more
            than a million distinct values; X is empty.
        TypeError
            A column mixes strings and numbers.
        """
        vars(self).pop("n_passes_", None)
        if not is_lazy(X):
            # scikit-learn's class, after us
            return super().fit(self._in_memory(X), y)  # type: ignore[misc]
        # Wrong values are known before the data is read.
        limits = {"min_frequency": self.min_frequency, "max_categories": self.max_categories}
        self._eager(**limits).fit([[0]])
        X = check_lazy(self, X, reset=True)
        names = None if not hasattr(X, "columns") else X.columns
        find = FindCategories(range(X.shape[1]) if names is None else map(repr, names))
        found = reduce_rows(
            [X], find.kernel, find.combine, name=f"{type(self).__name__.lower()}-fit"
        )
        if not found.n_rows:
            raise ValueError(
                f"Found array with 0 sample(s) (shape=(0, {X.shape[1]})) while a minimum of 1 "
                f"is required."
            )
        table = table_of([column.values for column in found.columns], names)
        if all(limit is None for limit in limits.values()):
            super().fit(table)  # type: ignore[misc] # as above
        else:
            self._fit_infrequent(found, table, names)
        self.n_passes_ = 1.0
        return self

    def _fit_infrequent(self, found: Found, table: Any, names: pd.Index | None) -> None:
        """Let scikit-learn make the state from a table in which only frequent ones occur."""
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
        params = self.get_params(deep=False)  # type: ignore[attr-defined] # as above
        params |= {
            "categories": [as_given(values) for values in categories],
            "min_frequency": 1,
            "max_categories": None,
        }
        if self.handle_unknown == "error":  # what the data holds beyond them was refused above
            params |= self._lenient
        encoder = self._eager(**params).fit(table_of(frequent, names))
        vars(self).update({k: v for k, v in vars(encoder).items() if k not in params})
        self.categories_ = categories

    def _eligible(self, categories: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which categories can be infrequent."""
        return np.ones(len(categories), dtype=bool)

    def _transform_lazy(self, X: Any) -> Any:
        X = check_lazy(self, X, reset=False)
        encoder = self._block_encoder()
        like = encoder.transform(self._first_categories())
        return transform_rows(
            self,
            cut(X, like.shape[1] * like.itemsize),
            _Encode(encoder, like[:0]),
            dtype=like.dtype,
            n_columns=like.shape[1],
            name=f"{type(self).__name__.lower()}-transform",
        )

    def inverse_transform(self, X: Any) -> Any:
        """Bring codes back to categories, lazily where X is lazy.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            What ``transform`` returns, of shape (n_samples, n_encoded_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            Categories. A lazy result is of dtype object wherever ``handle_unknown`` allows
            unknown categories, which are None; scikit-learn looks whether there are some.
        """
        if not is_lazy(X):
            return super().inverse_transform(X)  # type: ignore[misc] # as above
        check_is_fitted(self)
        encoder = self._block_encoder()
        codes = encoder.transform(self._first_categories())
        # The columns of X are not the features of the fit, so another estimator looks at them.
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
            _Decode(encoder, like),
            meta=like,
            name=f"{type(self).__name__.lower()}-inverse",
        )

    def _first_categories(self) -> Any:
        first = [values[:1] for values in self.categories_]
        # pandas has not all units of NumPy's dates: those of an array stay an array.
        dates = len({values.dtype for values in first}) == 1 and first[0].dtype.kind in "mM"
        return table_of(first, None if dates else pd.RangeIndex(len(first)))

    def _block_encoder(self) -> Any:
        """Return a copy for the blocks: dense, NumPy out, names checked already."""
        encoder = copy.deepcopy(self)
        encoder.set_output(transform="default")  # type: ignore[attr-defined] # as above
        vars(encoder).pop("feature_names_in_", None)
        if hasattr(encoder, "sparse_output"):
            encoder.sparse_output = False
        return encoder


class _Encode:
    """Row function of ``transform``."""

    __name__ = "encode"  # names the tasks of data frames

    def __init__(self, encoder: Any, empty: NDArray[Any]) -> None:
        self.encoder = encoder
        self.empty = empty

    def __call__(self, block: Any) -> NDArray[Any]:
        if len(block) == 0:
            return self.empty
        check_room(len(block), self.empty.shape[1] * self.empty.itemsize)
        block = without_na(block)
        if isinstance(block, pd.DataFrame):
            block = block.set_axis(range(block.shape[1]), axis=1)
        return np.asarray(self.encoder.transform(block))


class _Decode:
    """Row function of ``inverse_transform``."""

    __name__ = "decode"

    def __init__(self, encoder: Any, empty: NDArray[Any]) -> None:
        self.encoder = encoder
        self.empty = empty

    def __call__(self, block: Any) -> NDArray[Any]:
        if len(block) == 0:
            return self.empty
        # A copy: scikit-learn writes into the codes that it decodes.
        codes = np.array(block)
        return np.asarray(self.encoder.inverse_transform(codes)).astype(
            self.empty.dtype, copy=False
        )


class OneHotEncoder(_LazyEncoder, sklearn.preprocessing.OneHotEncoder):
    """One column of zeros and ones for each category.

    scikit-learn's own class for data in memory. On lazy data ``fit`` makes one pass, and
    ``transform`` is lazy and **always dense**, whatever ``sparse_output`` says: sparse blocks
    of a Dask array do not work with the estimators of this library. No more than the dense
    form of one block is in memory at a time for each thread.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        Categories of each column; "auto" takes those that occur.
    drop : {"first", "if_binary"} or array-like of shape (n_features,), default=None
        Category of each column that gets no column of its own.
    sparse_output : bool, default=True
        For data in memory: return a CSR matrix. Lazy results are dense.
    dtype : dtype, default=float64
        Of the result.
    handle_unknown : {"error", "ignore", "infrequent_if_exist", "warn"}, default="error"
        What ``transform`` does with a category that ``fit`` has not seen. An error (and a
        warning) comes when the block is computed.
    min_frequency : int or float, default=None
        Categories of fewer rows, or of a smaller share of the rows, share a column.
    max_categories : int, default=None
        Most columns for a feature, the one of infrequent categories included.
    feature_name_combiner : "concat" or callable, default="concat"
        Names a column after its feature and its category.

    Attributes
    ----------
    categories_ : list of ndarray
        Sorted categories of each column, at most a million. The missing strings of a Dask data
        frame (``pandas.NA``) count as NaN.
    drop_idx_ : ndarray of shape (n_features,) or None
        Index in ``categories_`` of each category that is dropped.
    infrequent_categories_ : list of ndarray
        Infrequent categories of each column, or None.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where X had names.
    n_passes_ : float
        Passes over the data: 1 after a fit to lazy data, else absent.

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


class OrdinalEncoder(_LazyEncoder, sklearn.preprocessing.OrdinalEncoder):
    """One integer for each category.

    scikit-learn's own class for data in memory. On lazy data ``fit`` makes one pass, and
    ``transform`` is lazy.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        Categories of each column in the order of their codes; "auto" sorts those that occur.
    dtype : dtype, default=float64
        Of the result.
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        What ``transform`` does with a category that ``fit`` has not seen. An error comes when
        the block is computed.
    unknown_value : int or NaN, default=None
        Code of unknown categories.
    encoded_missing_value : int or NaN, default=NaN
        Code of NaN.
    min_frequency : int or float, default=None
        Categories of fewer rows, or of a smaller share of the rows, share a code.
    max_categories : int, default=None
        Most codes for a feature, the one of infrequent categories included; NaN and unknown
        categories come on top.

    Attributes
    ----------
    categories_, infrequent_categories_, n_features_in_, feature_names_in_, n_passes_
        As of :class:`OneHotEncoder`.

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
