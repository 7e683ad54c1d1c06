"""Least squares by batches is that of all rows at once; models of other rows are joined."""

from __future__ import annotations

import copy
import pickle
import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import ElasticNet, Lasso, LinearRegression, Ridge
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from tests.strategies import cuts

MODELS = [
    LinearRegression(), LinearRegression(fit_intercept=False), LinearRegression(positive=True),
    Ridge(2.0), Ridge(0.5, fit_intercept=False), Ridge(positive=True), Lasso(0.05),
    Lasso(0.05, fit_intercept=False), ElasticNet(0.1, l1_ratio=0.3), ElasticNet(0.1, positive=True),
]  # fmt: skip
N = 200


def data(rng, n=N, targets=1):
    """Columns of different units, one far from zero."""
    X = rng.normal(size=(n, 6)) * [1, 10, 0.1, 1, 1, 1] + [0, 0, 0, 50, 0, 0]
    y = X @ rng.normal(size=(6, targets)) + rng.normal(size=(n, targets)) + 3.0
    return X, y[:, 0] if targets == 1 else y


def in_batches(model, X, y, weight, sizes):
    model, begin = clone(model), 0
    for size in sizes:
        rows = slice(begin, begin + size)
        if size:
            with warnings.catch_warnings():  # a batch or two may be too few rows
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.partial_fit(X[rows], y[rows], None if weight is None else weight[rows])
        begin += size
    return model


def assert_same(found, expected, rtol=1e-12):
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=rtol, atol=rtol * scale)
    far = np.abs(expected.intercept_).max() + 50 * scale
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=rtol, atol=rtol * far)
    assert np.shape(found.coef_) == np.shape(expected.coef_)
    assert np.shape(found.intercept_) == np.shape(expected.intercept_)


@settings(max_examples=15)
@given(st.sampled_from(MODELS), st.sampled_from([1, 2]), st.booleans(), st.data())
def test_batches_are_all_rows_at_once(model, targets, weighted, drawn):
    rng = np.random.default_rng(0)
    X, y = data(rng, targets=targets)
    weight = rng.uniform(0.2, 2.0, N) if weighted else None
    found = in_batches(model, X, y, weight, drawn.draw(cuts(N)))
    assert_same(found, clone(model).partial_fit(X, y, weight))
    assert found.n_samples_seen_ == N


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("targets", [1, 2])
def test_batches_are_a_fit_of_all_rows(model, targets, rng):
    X, y = data(rng, targets=targets)
    weight = rng.uniform(0.2, 2.0, N)
    found = in_batches(model, X, y, weight, [50, 1, 149])
    assert_same(found, clone(model).fit(X, y, weight), rtol=1e-9)
    assert found.n_passes_ == 1.0


@pytest.mark.parametrize("model", [LinearRegression(), Lasso(0.05)], ids=str)
def test_lazy_batches(model, rng):
    X, y = data(rng)
    found = clone(model).partial_fit(X[:80], y[:80])
    lazy = da.from_array(X[80:], chunks=((50, 0, 70), 4)), da.from_array(y[80:], chunks=33)
    assert_same(found.partial_fit(*lazy), clone(model).fit(X, y), rtol=1e-10)


@pytest.mark.parametrize("model", [Ridge(), Lasso(0.05)], ids=str)
def test_any_number_of_threads_gives_the_same_bits(model, rng):
    X, y = data(rng, n=900)
    found = []
    for threads in (1, 2, 4):
        with dask.config.set(scheduler="threads", num_workers=threads):
            batches = clone(model)
            for rows in (slice(0, 400), slice(400, 900)):
                lazy = [da.from_array(each[rows], chunks=(61, *each.shape[1:])) for each in (X, y)]
                batches.partial_fit(*lazy)
        found.append(batches.coef_)
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


def test_float32_rows_lose_nothing(rng):
    X, y = data(rng)
    X = X.astype(np.float32)
    found = in_batches(Ridge(), X, y, None, [100, 100])
    assert_same(found, Ridge().fit(X.astype(np.float64), y), rtol=1e-10)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_models_of_two_sites_are_merged_without_rows(model, rng):
    X, y = data(rng, targets=2)
    sites = [clone(model).partial_fit(X[rows], y[rows]) for rows in
             (slice(0, 90), slice(90, 120), slice(120, N))]  # fmt: skip
    before = copy.deepcopy(sites[1].coef_)
    merged = clone(model).merge(*sites)
    expected = clone(model).partial_fit(X, y)
    assert_same(merged, expected)
    assert (merged.n_samples_seen_, merged.n_passes_) == (N, 0.0)
    assert merged.n_features_in_ == 6
    np.testing.assert_array_equal(sites[1].coef_, before)
    # In place, and sent as bytes; and it goes on with rows.
    arrived = pickle.loads(pickle.dumps(sites[1]))
    assert_same(sites[0].merge(arrived).partial_fit(X[120:], y[120:]), expected)


def test_names_of_features_travel(rng):
    X, y = data(rng)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    sites = [Ridge().partial_fit(frame[:100], y[:100]), Ridge().partial_fit(frame[100:], y[100:])]
    merged = Ridge().merge(*sites)
    assert list(merged.feature_names_in_) == list("abcdef")
    assert merged.predict(frame).shape == (N,)
    other = Ridge().partial_fit(frame.rename(columns={"a": "z"})[100:], y[100:])
    with pytest.raises(ValueError, match="different features"):
        sites[0].merge(other)


def test_integer_weights_are_rows_that_stand_several_times(rng):
    X, y = data(rng)
    times = rng.integers(0, 3, N)
    weighted = in_batches(Ridge(), X, y, times.astype(float), [N // 2, N // 2])
    assert_same(weighted, Ridge().fit(np.repeat(X, times, axis=0), np.repeat(y, times)), rtol=1e-10)


def test_far_from_zero(rng):
    near = rng.integers(-4096, 4096, size=(N, 3)) / 4096.0
    y = near @ [1.0, -2.0, 0.5] + rng.normal(size=N)
    found = in_batches(LinearRegression(), near + 1e8, y, None, [50, 70, 80])
    np.testing.assert_allclose(found.coef_, LinearRegression().fit(near, y).coef_, rtol=1e-7)


def test_fewer_rows_than_features_give_the_least_norm(rng):
    X, y = data(rng)
    found = LinearRegression().partial_fit(X[:4], y[:4])
    expected = LinearRegression().fit(X[:4], y[:4])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6)
    assert found.rank_ == 3


@pytest.mark.parametrize("model", [LinearRegression(), Lasso(1e-12)], ids=str)
def test_what_moments_cannot_carry_is_told(model, rng):
    X, y = data(rng)
    X[:, 1] = X[:, 0] + 1e-6 * rng.normal(size=N)
    with pytest.warns(ConvergenceWarning, match=r"limit of floating-point precision.*collinear"):
        found = clone(model).partial_fit(X, y)
    assert found.history_[-1]["error"] > 1e-7


def test_a_copy_has_no_rows_and_a_deep_copy_all(rng):
    X, y = data(rng)
    model = Ridge().partial_fit(X[:100], y[:100])
    assert not hasattr(clone(model), "n_samples_seen_")
    again = copy.deepcopy(model)
    assert_same(again.partial_fit(X[100:], y[100:]), Ridge().fit(X, y), rtol=1e-10)
    assert model.n_samples_seen_ == 100
    assert again.to_sklearn().coef_.shape == (6,)


def test_parameters_may_change_between_batches(rng):
    X, y = data(rng)
    model = Ridge(1e3).partial_fit(X[:100], y[:100]).set_params(alpha=2.0)
    assert_same(model.partial_fit(X[100:], y[100:]), Ridge(2.0).fit(X, y), rtol=1e-10)


def test_fit_begins_anew_and_keeps_nothing(rng):
    X, y = data(rng)
    model = Ridge().partial_fit(X, y).fit(X[:50], y[:50])
    assert_same(model, Ridge().fit(X[:50], y[:50]))
    assert not hasattr(model, "n_samples_seen_")
    with pytest.raises(ValueError, match="fitted by fit"):
        model.merge(Ridge().partial_fit(X, y))
    with pytest.raises(ValueError, match="keeps no moments of its rows"):
        Ridge().partial_fit(X, y).merge(model)
    with pytest.warns(UserWarning, match=r"fitted by fit.*starts again.*call partial_fit"):
        model.partial_fit(X[50:], y[50:])
    assert_same(model, Ridge().fit(X[50:], y[50:]), rtol=1e-10)
    assert model.n_samples_seen_ == len(X) - 50


def test_a_batch_that_is_refused_changes_nothing(rng):
    X, y = data(rng)
    model = Ridge().partial_fit(X, y)
    before = pickle.dumps(model)
    bad = X.copy()
    bad[7, 2] = np.nan
    for batch, match in (
        ((bad, y), "row 7"),
        ((X[:, :5], y), "5 features"),
        ((X, np.column_stack([y, y])), r"shape \(2,\) for each row"),
        ((X, y[:, None]), r"shape \(1,\) for each row"),
    ):
        with pytest.raises(ValueError, match=match):
            model.partial_fit(*batch)
    assert pickle.dumps(model) == before
    with pytest.raises(ValueError, match="zero for all rows"):
        Ridge().partial_fit(X, y, np.zeros(N))
    model.partial_fit(X, y, np.zeros(N))  # some rows have had a weight


def test_models_that_do_not_go_together(rng):
    X, y = data(rng)
    model = Lasso(0.1).partial_fit(X, y)
    for other, error, match in (
        (Lasso(0.2).partial_fit(X, y), ValueError, "alpha is 0.1 in this model, and 0.2 in"),
        (Lasso(0.1, fit_intercept=False).partial_fit(X, y), ValueError, "fit_intercept"),
        (ElasticNet(0.1).partial_fit(X, y), TypeError, "same class, Lasso"),
        (Lasso(0.1).partial_fit(X[:, :3], y), ValueError, "6 and 3 features"),
        (Lasso(0.1).partial_fit(X, y[:, None]), ValueError, "targets of shape"),
        (Lasso(0.1), ValueError, "keeps no moments"),
        (model, ValueError, "itself"),
    ):
        with pytest.raises(error, match=match):
            model.merge(other)
    with pytest.raises(ValueError, match="got none"):
        model.merge()


def test_solvers_that_read_rows_again_are_refused(rng):
    X, y = data(rng)
    by_rows = sorted(SOLVERS.keys() - {"gram", "coordinate_descent"})
    assert {"lbfgs", "newton", "proximal_newton"} < set(by_rows)
    models = [kind(solver=name) for kind in (Ridge, LinearRegression) for name in by_rows]
    for model in models:
        assert not hasattr(model, "partial_fit")
        assert not hasattr(model, "merge")
        with pytest.raises(AttributeError, match="partial_fit"):
            model.partial_fit(X, y)
    assert Ridge(solver="svd").partial_fit(X, y).solver_ == "gram"


def test_a_line_a_batch_is_printed(rng, capsys):
    X, y = data(rng)
    model = Ridge(verbose=1).partial_fit(X, y)
    Ridge(verbose=1).merge(model)
    assert len(capsys.readouterr().out.splitlines()) >= 2
