"""A fit with store_covariance=True keeps what the classical covariance needs, and nothing else."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone

from dlbd_estimators import LinearRegression, LogisticRegression, Ridge, load
from dlbd_estimators.inference import coefficient_table
from tests.linear_model.inference.test_coefficient_table import N, assert_close, data

STORING = [
    (LinearRegression(store_covariance=True), 0, "float64", 1.0),
    (LinearRegression(store_covariance=True, fit_intercept=False), 0, "float64", 1.0),
    (LinearRegression(store_covariance=True), 0, "float32", 2.0),
    (Ridge(5.0, store_covariance=True), 0, "float64", 1.0),
    (LogisticRegression(C=np.inf, store_covariance=True), 2, "float64", None),
    (LogisticRegression(C=0.5, store_covariance=True), 3, "float64", None),
]  # fmt: skip


@pytest.mark.parametrize(("model", "n_classes", "dtype", "n_passes"), STORING)
def test_a_fit_that_stores_the_covariance_needs_no_rows_later(
    model, n_classes, dtype, n_passes, rng, tmp_path
):
    X, y, _ = data(rng)
    weight = rng.integers(0, 3, N).astype(float)
    if n_classes:
        y = np.digitize(y, [0.0] if n_classes == 2 else [-0.5, 0.5])
    X = X.astype(dtype)
    lazy = [da.from_array(each, chunks=(50, *each.shape[1:])) for each in (X, y, weight)]
    model = clone(model).fit(*lazy)
    found = coefficient_table(model, allow_penalty=True)
    expected = coefficient_table(model, X, y, weight, allow_penalty=True)
    assert_close(found, expected)
    assert found.n_passes == 0.0
    assert n_passes is None or model.n_passes_ == n_passes
    plain = clone(model).set_params(store_covariance=False).fit(*lazy)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert model.n_passes_ - plain.n_passes_ == (n_passes != 1.0)
    model.save(tmp_path / "model")
    loaded = coefficient_table(load(tmp_path / "model"), allow_penalty=True)
    np.testing.assert_array_equal(loaded.covariance, found.covariance)
    with pytest.raises(ValueError, match=r"X=None.*keeps sums of its rows; covariance='HC0'"):
        coefficient_table(model, covariance="HC0", allow_penalty=True)
    with pytest.raises(ValueError, match=r"store_covariance=True.*keeps no sums"):
        coefficient_table(model.set_params(store_covariance=False).fit(*lazy), allow_penalty=True)


@pytest.mark.parametrize(("model", "match"), [
    (LinearRegression(positive=True, store_covariance=True), "positive=True bounds them"),
    (LogisticRegression(l1_ratio=1.0, store_covariance=True), "l1 penalty chooses them"),
    (LogisticRegression(class_weight="balanced", store_covariance=True), "class_weight"),
    (Ridge(store_covariance="yes"), "'store_covariance' parameter"),
    (Ridge(store_covariance=True), "for one target, but y has 2"),
], ids=str)  # fmt: skip
def test_a_covariance_that_does_not_exist_is_not_stored(model, match, rng):
    X, y, _ = data(rng)
    y = y > 0 if isinstance(model, LogisticRegression) else np.column_stack([y, y])
    with pytest.raises(ValueError, match=match):
        model.fit(X, y)


def test_a_batch_discards_the_stored_sums(rng):
    X, y, _ = data(rng)
    model = LogisticRegression(C=np.inf, store_covariance=True).fit(X, y > 0)
    with pytest.warns(UserWarning, match="starts again"):
        model.partial_fit(X, y > 0, classes=[False, True])
    with pytest.raises(ValueError, match="keeps no sums"):
        coefficient_table(model)
