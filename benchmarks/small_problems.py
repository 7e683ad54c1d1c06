"""Compare fits that take milliseconds with scikit-learn: loops and tests run thousands of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lines import Line, Table
from sklearn import linear_model
from sklearn.datasets import load_iris
from timing import in_turns, ratios, spread, timed_fit
from workload import Workload, float64_rows

from dlbd_estimators import Lasso, LinearRegression, LogisticRegression, Ridge

#: Turns of each pair; the first ones only warm up.
_TURNS = 30
_ROWS, _FEATURES = 1_000, 20

LINES: Mapping[str, Line] = {
    "small-logistic": Line.at_most(
        f"in memory, {_ROWS:,} x {_FEATURES}, logistic: wall / scikit-learn's", 2.0
    ),
    "small-iris": Line.at_most("the same, iris (three classes)", 2.0),
    "small-ridge": Line.at_most(f"{_ROWS:,} x {_FEATURES}, Ridge: wall / scikit-learn's", 2.0),
    "small-least-squares": Line.at_most("the same, LinearRegression", 2.0),
    "small-lasso": Line.at_most("the same, Lasso", 2.0),
}


def against_scikit_learn(workload: Workload, table: Table) -> None:
    """Compare default parameters on data that fit in the cache, whatever the workload."""
    del workload  # the sizes are those of the lines
    X, y, target = float64_rows(_ROWS, _FEATURES, 2, seed=4)
    iris = load_iris()
    pairs: dict[str, tuple[Any, Any, Any, Any]] = {
        "small-logistic": (LogisticRegression, linear_model.LogisticRegression, X, y),
        "small-iris": (
            LogisticRegression,
            lambda: linear_model.LogisticRegression(max_iter=1000),
            iris.data,
            iris.target,
        ),
        "small-ridge": (Ridge, linear_model.Ridge, X, target),
        "small-least-squares": (LinearRegression, linear_model.LinearRegression, X, target),
        "small-lasso": (lambda: Lasso(0.01), lambda: linear_model.Lasso(0.01), X, target),
    }
    for name, (ours, theirs, *data) in pairs.items():
        fits = in_turns(
            {
                "ours": lambda ours=ours, data=data: timed_fit(ours(), *data),
                "theirs": lambda theirs=theirs, data=data: timed_fit(theirs(), *data),
            },
            _TURNS,
            warm_up=True,
        )
        quotients = ratios(fits["ours"], fits["theirs"])
        seconds = [1e3 * np.median([fit.seconds for fit in fits[side]]) for side in fits]
        reached = f"{spread(quotients)}; {seconds[0]:.2f} ms against {seconds[1]:.2f} ms"
        table.number(name, float(np.median(quotients)), reached)
