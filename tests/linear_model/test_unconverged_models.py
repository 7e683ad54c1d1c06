"""Searches name the values of C whose models are not minimisers, and no others."""

from __future__ import annotations

import warnings
from functools import partial

import dask.array as da
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV as SklearnGridSearchCV
from sklearn.model_selection import StratifiedKFold

from dlbd_estimators import LogisticRegression, LogisticRegressionCV
from dlbd_estimators.linear_model import logistic_regression_path
from dlbd_estimators.model_selection import GridSearchCV
from dlbd_estimators.solvers.smooth import path_sample
from dlbd_estimators.solvers.status import SeparableWarning

N = 150
NEW = {"use_legacy_attributes": False, "l1_ratios": (0.0,), "scoring": "neg_log_loss", "cv": 3}


def overlapping(rng, n=N):
    """Return rows of two classes that overlap."""
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] + rng.logistic(size=n) > 0).astype(int)


def separable(rng, n=N):
    """Return rows of two classes that a hyperplane separates."""
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(int)


def with_a_column_that_decides(rng):
    """Return rows with a category that occurs in one class only."""
    X, y = overlapping(rng)
    return np.column_stack([X, (X[:, 0] > 1.0) & (y == 1)]), y


def with_a_nearly_equal_column(rng, distance):
    """Return rows whose last column differs little from the first."""
    X, y = overlapping(rng)
    return np.column_stack([X, X[:, 0] + distance * rng.normal(size=N)]), y


def messages_of(fit):
    """Return the warnings of a call, which must point to the line of the call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fit()
    assert {each.filename for each in caught} <= {__file__}
    return result, [(each.category, str(each.message)) for each in caught]


@pytest.mark.parametrize(
    ("rows", "C"),
    [
        (separable, np.inf), (separable, 1e12), (with_a_column_that_decides, np.inf),
        (partial(with_a_nearly_equal_column, distance=1e-9), np.inf),
    ],
)  # fmt: skip
def test_values_at_which_models_did_not_converge_are_named_once(rows, C, rng):
    X, y = rows(rng)
    search = LogisticRegressionCV(Cs=[0.01, C, 0.1], **NEW)
    # Whichever value is chosen: the scores of the others decided, too.
    search, caught = messages_of(lambda: search.fit(X, y))
    named = [text for category, text in caught if "these values of C" in text]
    assert len(named) == 1
    assert f"these values of C: {C:g}." in named[0]
    assert all(issubclass(category, ConvergenceWarning) for category, _ in caught)
    if search.C_ != C:
        assert len(caught) == 1


def with_a_column_of_each_category(rng):
    """Return rows whose last three columns add up to one."""
    X, y = overlapping(rng)
    return np.column_stack([X, np.eye(3)[np.arange(N) % 3]]), y


@pytest.mark.parametrize(
    "rows", [partial(with_a_nearly_equal_column, distance=1e-4), with_a_column_of_each_category]
)
def test_dependent_columns_without_a_penalty_reach_the_minimum(rows, rng):
    """Steps along the difference of two columns are long, but change no prediction."""
    X, y = rows(rng)
    search = LogisticRegressionCV(Cs=[0.1, np.inf], **NEW).fit(X, y)
    for number, (train, _) in enumerate(StratifiedKFold(3).split(X, y)):
        alone = LogisticRegression(C=np.inf).fit(X[train], y[train])
        *coef, intercept = search.coefs_paths_[number, 0, 1, 0]
        # Several models have the same predictions if columns add up to one.
        np.testing.assert_allclose(X @ coef + intercept, alone.decision_function(X), atol=1e-7)


def test_a_grid_search_fits_candidates_that_do_not_converge_separately(rng):
    X, y = separable(rng)
    grid = {"C": [0.1, 1e9]}
    options = {"scoring": "neg_log_loss", "cv": 3, "refit": False}
    ours, caught = messages_of(
        lambda: GridSearchCV(LogisticRegression(), grid, **options).fit(X, y)
    )
    alone = SklearnGridSearchCV(LogisticRegression(), grid, **options).fit(X, y)
    for name in ("split0_test_score", "split1_test_score", "split2_test_score"):
        np.testing.assert_allclose(ours.cv_results_[name], alone.cv_results_[name], rtol=1e-4)
    assert caught == []  # each of the separate fits has converged


def test_a_path_names_the_values_that_did_not_converge(rng):
    X, y = separable(rng)
    _, caught = messages_of(lambda: logistic_regression_path(X, y, Cs=[1e12, 0.1, np.inf]))
    [(category, text)] = caught
    assert category is ConvergenceWarning
    assert "values of C: 1e+12, inf." in text


def test_a_search_with_an_l1_part_warns_once_of_its_models(rng):
    X, y = separable(rng)
    given = {**NEW, "l1_ratios": (0.5,)}
    search = LogisticRegressionCV(Cs=[0.1, np.inf], **given)
    search, caught = messages_of(lambda: search.fit(X, y))
    n_warnings = 2 if np.isinf(search.C_) else 1
    assert [category for category, _ in caught] == [SeparableWarning] * n_warnings
    assert "did not converge for C=inf, l1_ratio=0.5. The first one: The classes" in caught[0][1]


def test_a_search_that_ends_early_names_the_values_and_has_a_model(rng, monkeypatch):
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 300)
    X, y = (da.from_array(array, chunks=200) for array in separable(rng, 4_000))
    X = X.rechunk((200, -1))
    search = LogisticRegressionCV(Cs=[1e-3, 1e-2, 1e12], **NEW, max_iter=9)
    search, caught = messages_of(lambda: search.fit(X, y))
    [(category, text)] = caught
    assert category is ConvergenceWarning
    assert text.endswith("Models did not converge for C=1e+12.")
    assert search.score(X, y) > -0.6  # zero coefficients would have -log(2)
