"""docs/coming-from-scikit-learn.md tells the truth about parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from sklearn import linear_model, neural_network

import dlbd_estimators

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coming-from-scikit-learn.md"
CLASSES = [
    "LinearRegression", "Ridge", "Lasso", "ElasticNet", "LogisticRegression", "MLPClassifier",
    "MLPRegressor", "RidgeCV", "RidgeClassifierCV", "LassoCV", "ElasticNetCV",
    "LogisticRegressionCV",
]  # fmt: skip


def rows():
    section = PAGE.read_text().split("## Parameters")[1].split("\n* ")[0]
    for line in section.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split(" |")]
        if cells and cells[0]:
            for name in cells[0]:
                yield name, [set(cell) for cell in cells[1:3]]


@pytest.mark.parametrize("name", CLASSES)
def test_table_of_parameters(name):
    told = dict(rows())
    theirs_of = getattr(linear_model, name, None) or getattr(neural_network, name)
    theirs = inspect.signature(theirs_of).parameters
    ours = inspect.signature(getattr(dlbd_estimators, name)).parameters
    both = theirs.keys() & ours.keys()
    other = {each for each in both if theirs[each].default != ours[each].default}
    assert told[name] == [ours.keys() - theirs.keys(), other]
    assert theirs.keys() <= ours.keys()


def test_every_estimator_is_in_the_table():
    public = {
        name for name in dlbd_estimators.__all__ if hasattr(getattr(dlbd_estimators, name), "fit")
    }
    assert public == set(CLASSES) == {name for name, _ in rows()}
