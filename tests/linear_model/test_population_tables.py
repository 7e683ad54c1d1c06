"""Tables of populations by year: columns of 1e4 to 1e9, nearly collinear, as they come.

Defaults arrive, at an objective no larger than scikit-learn's, or say which columns are in the way.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LinearRegression, LogisticRegression


def populations(seed, n_rows, n_years, n_classes, noise):
    """Countries that grow, each at its own rate; classes that have nothing to do with it."""
    rng = np.random.default_rng(seed)
    first, growth = 10 ** rng.uniform(4, 9, n_rows), rng.normal(0.01, 0.01, n_rows)
    years = np.arange(n_years)
    X = first[:, None] * np.exp(np.outer(growth, years) + noise * rng.normal(size=(n_rows, 1)))
    X *= np.exp(noise * rng.normal(size=X.shape))
    y = rng.integers(0, n_classes, n_rows)
    y[:n_classes] = np.arange(n_classes)
    return np.round(X), y


def problem(model, X, y):
    raw = X @ model.coef_.T + model.intercept_
    if raw.shape[1] == 1:
        raw = np.column_stack([np.zeros(len(raw)), raw])
    losses = logsumexp(raw, axis=1) - raw[np.arange(len(raw)), y]
    return losses.sum() + 0.5 * (model.coef_**2).sum()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("n_rows", "n_years", "n_classes", "noise"),
    [(300, 6, 2, 0.01), (300, 6, 3, 0.01), (200, 40, 4, 0.003)],
)
def test_defaults_arrive(n_rows, n_years, n_classes, noise, seed):
    X, y = populations(seed, n_rows, n_years, n_classes, noise)
    model = LogisticRegression().fit(X, y)
    assert model.history_[-1]["error"] <= 1e-7
    peer = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it falls back to L-BFGS, which does not arrive
        peer.fit(X, y)
    assert problem(model, X, y) <= problem(peer, X, y) * (1 + 1e-8)


def test_columns_that_no_digits_tell_apart_are_named():
    X, y = populations(0, 200, 40, 2, 0.0)
    with pytest.warns(ConvergenceWarning, match=r"Columns 0, 1, 2, .* may be nearly collinear"):
        LogisticRegression().fit(X, y)


@pytest.mark.parametrize("noise", [0.01, 0.0])
@pytest.mark.parametrize("n_years", [6, 40])
def test_least_squares_is_no_worse_than_scikit_learns(n_years, noise):
    X, y = populations(0, 200, n_years, 2, noise)
    model, peer = LinearRegression(), linear_model.LinearRegression().fit(X, y)
    if noise:
        model.fit(X, y)
    else:
        with pytest.warns(ConvergenceWarning, match=r"Columns \d+, \d+.* may be nearly collinear"):
            model.fit(X, y)
    left, theirs = (((y - each.predict(X)) ** 2).sum() for each in (model, peer))
    assert left <= theirs + 1e-9 * ((y - y.mean()) ** 2).sum()
