"""Warnings point to the line of the user, whatever lies between it and where they are given."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from dlbd_estimators import (
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    MLPRegressor,
    Ridge,
)
from dlbd_estimators.metrics import log_loss
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.preprocessing import StandardScaler

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
LAZY, LABELS = da.from_array(X, chunks=20), da.from_array(Y, chunks=20)

GIVEN = {
    "a fit": lambda: LogisticRegression(max_iter=1).fit(LAZY, LABELS),
    "a pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1)).fit(X, Y),
    "a search": lambda: cross_val_score(LogisticRegression(max_iter=1), X, Y, cv=2),
    "no step": lambda: Ridge(solver="lbfgs", max_iter=1).fit(X, Y),
    "no step at all": lambda: LogisticRegression(max_iter=0).fit(X, Y),
    "an l1 search": lambda: LogisticRegressionCV(
        Cs=[1.0], l1_ratios=[1.0], cv=2, max_iter=1, scoring="accuracy", use_legacy_attributes=False
    ).fit(X, Y),
    "a batch": lambda: MLPClassifier(batch_size=100, max_iter=1).fit(LAZY, LABELS),
    "a column of labels": lambda: LogisticRegression().fit(X, Y[:, None]),
    "a column of targets": lambda: MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(
        X, Y[:, None]
    ),
    "a column of a search": lambda: LassoCV(alphas=3).fit(X, Y[:, None]),
    "a fold": lambda: list(KFold(2).split(LAZY, groups=Y)),
    "a loss": lambda: log_loss(LABELS, da.full((60, 2), 0.2, chunks=20)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_warning_points_to_the_line_of_the_user(name):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        GIVEN[name]()
    assert seen
    assert {each.filename for each in seen} == {__file__}
