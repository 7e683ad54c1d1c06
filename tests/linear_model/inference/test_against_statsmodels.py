"""Tables of coefficients are statsmodels' to eight digits, on the same rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import statsmodels.api as sm

from dlbd_estimators import LinearRegression, LogisticRegression
from dlbd_estimators.inference import coefficient_table

N = 240
NAMES = ("estimate", "standard_error", "statistic", "lower", "upper")


@pytest.fixture
def rows(rng):
    """Columns of different units, errors of unequal variance, groups that share an error."""
    X = rng.normal(size=(N, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 5.0, 0.0, 50.0]
    groups = rng.integers(0, 25, N)
    noise = rng.normal(size=N) * (1 + np.abs(X[:, 0])) + rng.normal(size=25)[groups]
    y = X @ [1.0, -0.2, 3.0, 0.5] + noise
    return X, y, groups, rng.uniform(0.2, 3.0, N)


def labels_of(X, y):
    return np.where(y - y.mean() + X[:, 0] > 0, "yes", "no")


def logistic(X, y, weight=None):
    return LogisticRegression(C=np.inf, tol=1e-13).fit(X, y, weight)


def assert_same(table, theirs):
    expected = {
        "estimate": theirs.params, "standard_error": theirs.bse, "statistic": theirs.tvalues,
        "lower": theirs.conf_int()[:, 0], "upper": theirs.conf_int()[:, 1],
    }  # fmt: skip
    for name in NAMES:
        np.testing.assert_allclose(getattr(table, name), expected[name], rtol=1e-8, err_msg=name)
    np.testing.assert_allclose(table.p_value, theirs.pvalues, rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(table.covariance, theirs.cov_params(), rtol=1e-7, atol=1e-11)


def given_to_statsmodels(covariance, groups):
    if covariance == "classical":
        return {}
    if covariance == "clustered":
        return {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    return {"cov_type": covariance}


@pytest.mark.parametrize("covariance", ["classical", "HC0", "HC1", "HC2", "HC3", "clustered"])
@pytest.mark.parametrize("weights", [None, "variance", "frequency"])
@pytest.mark.parametrize("lazy", [False, True])
def test_linear_regression(covariance, weights, lazy, rows):
    X, y, groups, weight = rows
    times = np.ones(N, dtype=int)
    if weights == "frequency":
        weight = times = np.arange(N) % 4
    elif weights is None:
        weight = None
    repeated = [np.repeat(each, times, axis=0) for each in (X, y, groups)]
    given = given_to_statsmodels(covariance, repeated[2])
    theirs = sm.WLS(
        repeated[1], sm.add_constant(repeated[0]),
        weights=weight if weights == "variance" else np.ones(len(repeated[1])),
    ).fit(use_t=True, **given)  # fmt: skip
    model = LinearRegression().fit(X, y, weight)
    g = groups if covariance == "clustered" else None
    if lazy:
        X = da.from_array(X, chunks=((100, 0, 90, 50), 2))
        y = da.from_array(y, chunks=70)
        g = g if g is None else da.from_array(g, chunks=30)
        weight = None if weight is None else da.from_array(weight, chunks=55)
    table = coefficient_table(
        model, X, y, weight, covariance=covariance, groups=g, weights=weights or "frequency"
    )
    assert_same(table, theirs)
    assert table.n_passes == (2 if covariance in ("HC2", "HC3") else 1)
    np.testing.assert_allclose(table.scale, theirs.scale, rtol=1e-10)


LOGISTIC = [
    ("classical", None), ("classical", "variance"), ("classical", "frequency"), ("HC0", None),
    ("HC0", "variance"), ("clustered", None),
]  # fmt: skip


@pytest.mark.parametrize(("covariance", "weights"), LOGISTIC)
def test_logistic_regression(covariance, weights, rows):
    X, y, groups, weight = rows
    y = labels_of(X, y)
    if weights == "frequency":
        weight = np.arange(N) % 4 + 1
    weight = None if weights is None else weight
    kind = {"variance": "var_weights", "frequency": "freq_weights"}.get(weights)
    theirs = sm.GLM(
        (y == "yes").astype(float), sm.add_constant(X), family=sm.families.Binomial(),
        **({} if kind is None else {kind: weight}),
    ).fit(tol=1e-15, maxiter=100, **given_to_statsmodels(covariance, groups))  # fmt: skip
    table = coefficient_table(
        logistic(X, y, weight), X, y, weight, covariance=covariance,
        groups=groups if covariance == "clustered" else None,
        weights=weights or "frequency",
    )  # fmt: skip
    assert_same(table, theirs)


def three_classes(X, y):
    """Labels of which no two classes can be separated."""
    latent = y - y.mean() + X[:, 0]
    codes = np.where(np.arange(N) % 5 > 0, np.digitize(latent, [-1.0, 1.0]), np.arange(N) % 3)
    return codes, np.array(["low", "middle", "top"])[codes]


SEVERAL_CLASSES = [
    ("classical", True, False), ("HC0", True, False), ("HC1", True, False),
    ("clustered", True, False), ("clustered", True, True), ("classical", False, True),
]  # fmt: skip


@pytest.mark.parametrize(("covariance", "fit_intercept", "lazy"), SEVERAL_CLASSES)
def test_several_classes_against_the_first(covariance, fit_intercept, lazy, rows):
    X, y, groups, _ = rows
    codes, labels = three_classes(X, y)
    columns = sm.add_constant(X) if fit_intercept else X
    theirs = sm.MNLogit(codes, columns).fit(
        disp=0, method="newton", tol=1e-10, maxiter=60, **given_to_statsmodels(covariance, groups)
    )
    model = LogisticRegression(C=np.inf, tol=1e-13, fit_intercept=fit_intercept).fit(X, labels)
    g = groups if covariance == "clustered" else None
    if lazy:
        X, labels = da.from_array(X, chunks=((100, 0, 90, 50), 2)), da.from_array(labels, chunks=70)
        g = g if g is None else da.from_array(g, chunks=30)
    table = coefficient_table(model, X, labels, covariance=covariance, groups=g)
    # statsmodels computes HC0 for HC1.
    spread = np.sqrt(N / (N - table.estimate.size)) if covariance == "HC1" else 1.0
    close = {"rtol": 1e-8}
    np.testing.assert_allclose(table.estimate, theirs.params.T.ravel(), **close)
    np.testing.assert_allclose(table.standard_error, spread * theirs.bse.T.ravel(), **close)
    np.testing.assert_allclose(table.statistic, theirs.tvalues.T.ravel() / spread, **close)
    half = theirs.conf_int()[..., 1].ravel() - table.estimate
    np.testing.assert_allclose(table.upper - table.estimate, spread * half, **close)
    np.testing.assert_allclose(table.estimate - table.lower, spread * half, **close)
    if spread == 1.0:
        np.testing.assert_allclose(table.p_value, theirs.pvalues.T.ravel(), rtol=1e-6, atol=1e-300)
    covariances = spread**2 * theirs.cov_params()
    np.testing.assert_allclose(table.covariance, covariances, rtol=1e-6, atol=1e-10)
    first = ["middle: intercept"] if fit_intercept else []
    assert table.names[: len(first) + 1] == (*first, "middle: x0")
    assert table.n_passes == 1.0
    chosen = np.eye(len(table.names))[[1, -1]]
    expected = theirs.wald_test(chosen, use_f=False, scalar=True)
    found = table.wald_test([table.names[1], table.names[-1]])
    np.testing.assert_allclose(found.statistic, expected.statistic / spread**2, **close)


@pytest.mark.parametrize("covariance", ["classical", "HC3"])
def test_without_an_intercept(covariance, rows):
    X, y, *_ = rows
    theirs = sm.OLS(y, X).fit(use_t=True, **given_to_statsmodels(covariance, None))
    model = LinearRegression(fit_intercept=False).fit(X, y)
    assert_same(coefficient_table(model, X, y, covariance=covariance), theirs)


def test_wald_tests(rows):
    X, y, *_ = rows
    theirs = sm.OLS(y, sm.add_constant(X)).fit(cov_type="HC1", use_t=True)
    table = coefficient_table(LinearRegression().fit(X, y), X, y, covariance="HC1")
    hypotheses = np.array([[0, 1, 0, 0, 0], [0, 0, 1, -1, 2.0]])
    expected = theirs.wald_test((hypotheses, [1.0, 0.5]), use_f=True, scalar=True)
    found = table.wald_test(hypotheses, [1.0, 0.5])
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-8)
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-6)
    assert (found.df_hypotheses, found.df_residual) == (2, N - 5)
    labels = labels_of(X, y)
    theirs = sm.Logit(labels == "yes", sm.add_constant(X)).fit(disp=0, tol=1e-11)
    expected = theirs.wald_test(np.eye(5)[[1, 3]], use_f=False, scalar=True)
    table = coefficient_table(logistic(X, labels), X, labels)
    found = table.wald_test(["x0", "x2"])
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-8)
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-6)


@pytest.mark.parametrize("covariance", ["classical", "HC1"])
def test_prediction_intervals(covariance, rows, rng):
    X, y, *_ = rows
    new = X[:20] + rng.normal(size=(20, 4))
    theirs = sm.OLS(y, sm.add_constant(X)).fit(use_t=True, **given_to_statsmodels(covariance, None))
    frame = theirs.get_prediction(sm.add_constant(new)).summary_frame(alpha=0.1)
    table = coefficient_table(LinearRegression().fit(X, y), X, y, covariance=covariance)
    for of, columns in (
        ("mean", ["mean", "mean_ci_lower", "mean_ci_upper"]),
        ("observation", ["mean", "obs_ci_lower", "obs_ci_upper"]),
    ):
        found = table.prediction_interval(new, of=of, confidence=0.9)
        np.testing.assert_allclose(found, frame[columns], rtol=1e-8)
        lazy = table.prediction_interval(da.from_array(new, chunks=(7, 2)), of=of, confidence=0.9)
        np.testing.assert_allclose(lazy.compute(), found, rtol=1e-13)
