"""Apply any fitted or stateless transformer to lazy data, block by block."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from dlbd_estimators.base.feature_names import check_columns
from dlbd_estimators.base.xarray_input import accepts_xarray
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.preprocessing.columns import without_na
from dlbd_estimators.preprocessing.lazy import (
    LazyTransformer,
    check_lazy,
    map_rows,
    transform_rows,
)


def _offers(method: str) -> Any:
    def check(self: Blockwise) -> bool:
        # If the transformer has no such method, its AttributeError is raised.
        getattr(getattr(self, "transformer_", self.transformer), method)
        return True

    return available_if(check)


class _InMemory(TransformerMixin, BaseEstimator):
    """``fit`` and ``transform`` for data in memory, which honour ``set_output``."""

    transformer_: Any

    def fit(self, X: Any, y: Any = None) -> Any:
        raise NotImplementedError  # Blockwise defines it

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        result = self.transformer_.transform(X)
        # Validate last: if the transformer checks X itself, its error is more specific.
        validate_data(self, X, reset=False, skip_check_array=True)
        return result


class Blockwise(LazyTransformer, _InMemory):
    """Apply a fitted or stateless transformer to lazy data, one block at a time.

    Use it for transformers of scikit-learn, and others for NumPy arrays or pandas frames, that
    transform each row independently once they are fitted. Fit them first to data in memory, for
    example a sample. Sparse results, and results with another number of rows, are refused.

    Parameters
    ----------
    transformer : transformer
        If it is fitted, it is used as it is, also by clones of this object. If it is not fitted,
        ``fit`` fits a clone of it to data in memory. With lazy data, an unfitted transformer must
        be stateless, such as ``FunctionTransformer``.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.

    Notes
    -----
    To find the number of columns and the dtype of a lazy result, the transformer is applied to rows
    of zeros (for data frames, to rows that Dask makes up). Some transformers refuse these rows, for
    example because their category is unknown. These transformers need ``get_feature_names_out``,
    and their results become float64.

    Several threads use the same transformer at the same time.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from sklearn.preprocessing import QuantileTransformer
    >>> from dlbd_estimators.preprocessing import Blockwise
    >>> X = da.random.default_rng(0).random((1_000, 2), chunks=(100, 2))
    >>> fitted = QuantileTransformer(n_quantiles=10).fit(X[:100].compute())
    >>> Blockwise(fitted).fit_transform(X).shape
    (1000, 2)
    """

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def __sklearn_clone__(self) -> Blockwise:
        fitted = _is_fitted(self.transformer)
        return type(self)(copy.deepcopy(self.transformer) if fitted else clone(self.transformer))

    def _wrapped(self) -> Any:
        return getattr(self, "transformer_", self.transformer)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        for tag in ("input_tags", "transformer_tags", "no_validation", "non_deterministic"):
            setattr(tags, tag, getattr(inner, tag))
        return tags

    def fit(self, X: Any, y: Any = None) -> Blockwise:
        """Take the fitted transformer, or fit a clone of it.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). No lazy value is computed.
        y : array-like of shape (n_samples,), optional
            Targets, for a transformer that is fitted to data in memory.

        Returns
        -------
        Blockwise
            The fitted object.

        Raises
        ------
        NotFittedError
            X is lazy, and the transformer must be fitted first. NotFittedError is a ValueError.
        TypeError
            X is lazy, and the transformer returns sparse matrices.
        """
        if not is_lazy(X):
            X = without_na(X)
            ready = _is_fitted(self.transformer) and get_tags(self.transformer).requires_fit
            self.transformer_ = self.transformer if ready else clone(self.transformer).fit(X, y)
            validate_data(self, X, reset=True, skip_check_array=True)
            return self
        if not _is_fitted(self.transformer):
            raise NotFittedError(
                f"{self.transformer!r} is not fitted, and fitting it would load all of X, which "
                f"is lazy. Fit it to a sample in memory first: Blockwise(transformer.fit(sample))."
            )
        X = check_lazy(self, X, reset=True)
        self.transformer_ = self.transformer
        if not get_tags(self.transformer).requires_fit:
            self.transformer_ = clone(self.transformer).fit(_two_rows(X))
        elif isinstance(self.transformer, BaseEstimator):
            check_columns(self.transformer, X)
        _empty_output(self.transformer_, X)  # raises errors early, before anything is computed
        return self

    def _named(self, X: Any) -> Any:
        return X  # keep the user's container: the wrapped transformer may depend on it

    def _transform_lazy(self, X: Any) -> Any:
        X = check_lazy(self, X, reset=False)
        like = _empty_output(self.transformer_, X)
        return transform_rows(
            self, X, _Rows(self.transformer_, "transform", like), meta=like, name="blockwise"
        )

    @_offers("inverse_transform")
    @accepts_xarray
    def inverse_transform(self, X: Any) -> Any:
        """Undo ``transform``. This method exists if the transformer has it.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Result of ``transform``, of shape (n_samples, n_features_out).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_features)
            The original features; a lazy Dask array if X is lazy.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            return self.transformer_.inverse_transform(X)
        X = check_lazy(BaseEstimator(), X, reset=True)  # its columns are outputs, not features
        like = np.asarray(self.transformer_.inverse_transform(_two_rows(X)))[:0]
        rows = _Rows(self.transformer_, "inverse_transform", like)
        return map_rows(X, rows, meta=like, name="blockwise-inverse")

    @_offers("get_feature_names_out")
    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names that the transformer gives to its output.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the input features; None means the names seen in ``fit``.

        Returns
        -------
        ndarray of str
            Names, of shape (n_features_out,).
        """
        check_is_fitted(self)
        names: NDArray[np.object_] = self.transformer_.get_feature_names_out(input_features)
        return names


def _is_fitted(transformer: Any) -> bool:
    try:
        check_is_fitted(transformer)  # does not raise if the transformer needs no fit
    except NotFittedError:
        return False
    return True


def _two_rows(X: Any) -> Any:
    if hasattr(X, "columns"):
        first_row = X._meta_nonempty.iloc[:1]
        return without_na(pd.concat([first_row, first_row], ignore_index=True))
    return np.zeros((2, X.shape[1]), dtype=X.dtype)


def _empty_output(transformer: Any, X: Any) -> NDArray[Any]:
    """Return an empty array that has the width and dtype of every result."""
    try:
        result = transformer.transform(_two_rows(X))
    except (AttributeError, TypeError, ValueError) as error:
        try:
            width = len(transformer.get_feature_names_out())
        except AttributeError:
            raise ValueError(
                f"The number of columns that {transformer!r} returns is not known: it has no "
                f"get_feature_names_out, and refuses a row of zeros: {error}"
            ) from error
        return np.empty((0, width))
    if scipy.sparse.issparse(result):
        raise TypeError(
            f"{transformer!r} returns sparse matrices, which do not work as blocks of lazy data. "
            f"Ask it for dense output, for example with sparse_output=False."
        )
    result = np.asarray(result)
    if result.ndim != 2 or len(result) != 2:
        raise ValueError(
            f"{transformer!r} made an array of shape {result.shape} from 2 rows; one row for each "
            f"is needed."
        )
    return result[:0]


class _Rows:
    """Row function: calls a method of a transformer, and checks the shape of its result."""

    __name__ = "blockwise"  # names the tasks of data frames

    def __init__(self, transformer: Any, method: str, like: NDArray[Any]) -> None:
        self.transformer = transformer
        self.method = method
        self.like = like

    def __call__(self, block: Any) -> NDArray[Any]:
        if len(block) == 0:
            return self.like
        # A copy: with copy=False a transformer changes its input, which other tasks may read.
        result = getattr(self.transformer, self.method)(without_na(block.copy()))
        result = result.toarray() if scipy.sparse.issparse(result) else np.asarray(result)
        expected = (len(block), self.like.shape[1])
        if result.shape != expected:
            raise ValueError(
                f"{self.method} of {self.transformer!r} made an array of shape {result.shape} of "
                f"a block of {len(block)} rows, where {expected} was expected."
            )
        return result.astype(self.like.dtype, copy=False)
