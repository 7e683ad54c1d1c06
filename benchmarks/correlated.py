"""Compare logistic regression in memory on correlated columns of different scales with peers.

On such columns lbfgs needs thousands of iterations. The peers are scikit-learn's newton-cholesky
and glum, each at its largest tolerance with which its coefficients are within 1e-6 of the solution,
in standard units and relative to the largest one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from lines import Line, Table
from peers import Glum, PeerUnavailable
from sklearn import linear_model
from timing import Fit, in_turns, ratios, seconds_of, spread, timed_fit
from workload import FEATURES, Workload, float64_rows

from dlbd_estimators import LogisticRegression

ACCURACY = 1e-6
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)
#: Correlation of neighbouring columns.
_CORRELATION = 0.95

LINES = {
    "correlated": Line.at_most(
        "in memory, logistic, {memory_rows} x 100 float64, neighbouring columns correlated by "
        "0.95, scales 1e-3 to 1e3: wall / scikit-learn's newton-cholesky",
        0.12,
    ),
    "correlated-glum": Line.at_most("the same / glum", 0.12),
}


def against_peers(workload: Workload, table: Table, peers: bool) -> None:
    """Compare fits on correlated columns with all available peers."""
    X, y, scales = _rows(workload.memory_rows)
    tight = timed_fit(_cholesky(1e-12), X, y)

    def error(fit: Fit) -> float:
        gaps, sizes = ((coef[:-1] * scales) for coef in (fit.coef - tight.coef, tight.coef))
        return float(np.abs(gaps).max() / np.abs(sizes).max())

    contestants: dict[str, Callable[[], Fit]] = {
        "ours": lambda: timed_fit(LogisticRegression(), X, y)
    }
    tol = _largest_tolerance(lambda tol: timed_fit(_cholesky(tol), X, y), error)
    contestants["correlated"] = lambda: timed_fit(_cholesky(tol), X, y)
    if not peers:
        _compare(workload, table, contestants, error)
        return
    try:
        with Glum(workload.folder, X, y) as glum:
            tol_of_glum = _largest_tolerance(glum.logistic, error)
            contestants["correlated-glum"] = lambda: glum.logistic(tol_of_glum)
            _compare(workload, table, contestants, error)
    except PeerUnavailable as reason:
        table.skip("correlated-glum", str(reason))
        contestants.pop("correlated-glum", None)
        _compare(workload, table, contestants, error)


def _compare(
    workload: Workload,
    table: Table,
    contestants: dict[str, Callable[[], Fit]],
    error: Callable[[Fit], float],
) -> None:
    fits = in_turns(contestants, workload.repeats, warm_up=True)
    for name in contestants:
        if name != "ours":
            quotients = ratios(fits["ours"], fits[name])
            table.number(
                name,
                float(np.median(quotients)),
                f"{spread(quotients)}; {seconds_of(fits['ours'])} against "
                f"{seconds_of(fits[name])}; off by {error(fits['ours'][-1]):.0e} and "
                f"{error(fits[name][-1]):.0e} from tol 1e-12",
            )


def _rows(n_rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], Any]:
    """Return correlated columns, labels, and the scale of each column."""
    X, y, _ = float64_rows(n_rows, FEATURES, 2, seed=2)
    for column in range(1, FEATURES):
        X[:, column] *= np.sqrt(1.0 - _CORRELATION**2)
        X[:, column] += _CORRELATION * X[:, column - 1]
    scales = np.logspace(-3, 3, FEATURES)
    X *= np.random.default_rng(2).permutation(scales)
    return X, y, X.std(axis=0)


def _cholesky(tol: float) -> Any:
    return linear_model.LogisticRegression(solver="newton-cholesky", tol=tol, max_iter=1000)


def _largest_tolerance(fit: Callable[[float], Fit], error: Callable[[Fit], float]) -> float:
    """Return the largest tolerance that is accurate enough, or else the smallest one."""
    return next((tol for tol in TOLERANCES if error(fit(tol)) <= ACCURACY), TOLERANCES[-1])
