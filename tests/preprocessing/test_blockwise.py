"""Blockwise: any transformer of rows on lazy data, with the numbers it has in memory."""

from __future__ import annotations

from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)

from dlbd_estimators.preprocessing import Blockwise

X = np.random.default_rng(11).normal(size=(50, 3))
LAZY = da.from_array(X, chunks=((0, 20, 1, 29), (2, 1)))
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "city": pd.Series(["x", "y"] * 25, dtype="str")})


def lazy_frame(frame: pd.DataFrame) -> Any:
    parts = [frame[:0], frame[:20], frame[20:]]
    return dd.from_map(lambda i: parts[i], range(len(parts)), meta=frame[:0])


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        StandardScaler(copy=False),
        QuantileTransformer(n_quantiles=20),
        PCA(2),
        PolynomialFeatures(),
        make_pipeline(SimpleImputer(), StandardScaler()),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fitted(transformer: Any, dtype: Any) -> None:
    memory = X.astype(dtype)
    transformer = clone(transformer).fit(memory.copy())
    expected = transformer.transform(memory.copy())
    lazy = LAZY.astype(dtype)
    ours = Blockwise(transformer).fit(lazy)
    result = ours.transform(lazy)
    assert isinstance(result, da.Array)
    assert result.chunks == ((0, 20, 1, 29), (expected.shape[1],))
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(
        result.compute(), expected, rtol=1e-5 if dtype == np.float32 else 1e-12
    )
    np.testing.assert_array_equal(memory, X.astype(dtype))
    assert list(ours.get_feature_names_out()) == list(transformer.get_feature_names_out())
    assert ours.transformer_ is transformer


@pytest.mark.parametrize("transformer", [Normalizer(), FunctionTransformer(np.expm1)], ids=str)
def test_stateless(transformer: Any) -> None:
    ours = Blockwise(transformer).fit(LAZY)
    assert ours.n_features_in_ == 3
    np.testing.assert_array_equal(ours.transform(LAZY).compute(), transformer.transform(X))


def test_frame_of_several_types() -> None:
    """A transformer that refuses made-up categories has names, and so a width."""
    fitted = OneHotEncoder(sparse_output=False).fit(FRAME[["city"]])
    lazy = lazy_frame(FRAME[["city"]])
    ours = Blockwise(fitted).fit(lazy)
    expected = fitted.transform(FRAME[["city"]])
    np.testing.assert_array_equal(ours.transform(lazy).compute(), expected)
    assert list(ours.feature_names_in_) == ["city"]
    framed = clone(ours).set_output(transform="pandas").fit(lazy).transform(lazy)
    assert list(framed.columns) == ["city_x", "city_y"]
    np.testing.assert_array_equal(framed.compute().to_numpy(), expected)


def test_inverse_transform() -> None:
    ours = Blockwise(StandardScaler().fit(X)).fit(LAZY)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(LAZY)).compute(), X)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X)
    assert not hasattr(Blockwise(Normalizer()), "inverse_transform")


def test_computes_nothing() -> None:
    def load(i: int) -> pd.DataFrame:
        raise AssertionError(f"partition {i} was loaded")

    numbers = FRAME[["a", "b"]]
    lazy = dd.from_map(load, range(2), meta=numbers[:0])
    ours = Blockwise(StandardScaler().fit(numbers)).fit(lazy)
    result = ours.transform(lazy)
    assert result.shape[1] == 2
    with pytest.raises(AssertionError, match="was loaded"):
        result.compute()


def test_in_memory_an_unfitted_transformer_is_fitted() -> None:
    scaler = StandardScaler()
    ours = Blockwise(scaler).fit(X)
    np.testing.assert_array_equal(ours.transform(X), StandardScaler().fit_transform(X))
    assert not hasattr(scaler, "mean_")
    np.testing.assert_allclose(ours.transform(LAZY).compute(), ours.transform(X))


def test_in_memory_a_fitted_transformer_is_kept() -> None:
    scaler = StandardScaler().fit(X)
    assert Blockwise(scaler).fit(X[:5]).transformer_ is scaler


def test_clones_keep_a_fitted_transformer() -> None:
    scaler = StandardScaler().fit(X)
    again = clone(Blockwise(scaler))
    assert again.transformer is not scaler
    np.testing.assert_array_equal(again.transformer.mean_, scaler.mean_)
    again.set_params(transformer__with_mean=False)
    assert scaler.with_mean
    fresh = clone(Blockwise(StandardScaler()).fit(X))
    assert not hasattr(fresh.transformer, "mean_")


class Widens(TransformerMixin, BaseEstimator):
    """Makes as many columns as the block has rows."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def fit(self, X: Any, y: Any = None) -> Widens:
        return self

    def transform(self, X: Any) -> Any:
        return np.zeros((len(X), len(X)))


class TestErrors:
    def test_not_fitted(self) -> None:
        with pytest.raises(NotFittedError, match="Fit it to a sample"):
            Blockwise(StandardScaler()).fit(LAZY)
        with pytest.raises(NotFittedError):
            Blockwise(StandardScaler().fit(X)).transform(LAZY)

    def test_other_features(self) -> None:
        ours = Blockwise(StandardScaler().fit(X)).fit(LAZY)
        with pytest.raises(ValueError, match="expecting 3 features"):
            ours.transform(LAZY[:, :2])

    def test_transformer_of_other_features(self) -> None:
        with pytest.raises(ValueError, match="StandardScaler is expecting 3 features"):
            Blockwise(StandardScaler().fit(X)).fit(LAZY[:, :2])
        with pytest.raises(ValueError, match="feature names should match"):
            Blockwise(StandardScaler().fit(FRAME[["a"]])).fit(lazy_frame(FRAME[["b"]]))

    def test_sparse(self) -> None:
        fitted = OneHotEncoder().fit(np.array([[0.0], [1.0]]))
        with pytest.raises(TypeError, match="sparse"):
            Blockwise(fitted).fit(da.zeros((4, 1)))

    def test_one_row_for_each(self) -> None:
        rows = FunctionTransformer(lambda block: block[:1])
        with pytest.raises(ValueError, match="one row for each"):
            Blockwise(rows).fit(LAZY)

    def test_width_that_varies(self) -> None:
        result = Blockwise(Widens()).fit(LAZY).transform(LAZY)
        with pytest.raises(ValueError, match=r"shape \(\d+, \d+\) of a block of"):
            result.compute()

    def test_unknown_width(self) -> None:
        with pytest.raises(ValueError, match="has no get_feature_names_out"):
            Blockwise(HashingVectorizer()).fit(LAZY)
