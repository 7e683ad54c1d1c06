"""Compare Lasso on NumPy arrays in this process with scikit-learn and scikit-learn-intelex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from lines import Table
from peers import Intelex, PeerUnavailable
from sklearn import linear_model
from timing import Fit, in_turns, ratios, seconds_of, spread, timed_fit
from workload import Workload

from dlbd_estimators import Lasso

ALPHA = 0.05
_FEATURES = 200


def against_peers(workload: Workload, table: Table, peers: bool) -> None:
    """Compare wall times, if our fit is at least as close to the minimum as the peer's fit."""
    X, y = _rows(workload.lasso_rows)
    contestants: dict[str, Callable[[], Fit]] = {
        "ours": lambda: timed_fit(Lasso(alpha=ALPHA), X, y),
        "lasso": lambda: timed_fit(linear_model.Lasso(alpha=ALPHA), X, y),
    }
    if not peers:
        _compare(workload, table, contestants, X, y)
        return
    try:
        with Intelex(workload.folder, X, np.zeros(len(X), np.intp), y) as intelex:
            contestants["lasso-intelex"] = lambda: intelex.lasso(ALPHA)
            _compare(workload, table, contestants, X, y)
    except PeerUnavailable as error:
        table.skip("lasso-intelex", str(error))
        contestants.pop("lasso-intelex", None)
        _compare(workload, table, contestants, X, y)


def _compare(
    workload: Workload,
    table: Table,
    contestants: dict[str, Callable[[], Fit]],
    X: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> None:
    fits = in_turns(contestants, workload.repeats, warm_up=True)
    ours = _gap(X, y, fits["ours"][-1])
    for name in ("lasso", "lasso-intelex"):
        if name not in fits:
            continue
        peer_gap = _gap(X, y, fits[name][-1])
        if ours > peer_gap:
            table.skip(
                name, f"our duality gap is {ours:.0e}, theirs {peer_gap:.0e}: not comparable"
            )
            continue
        quotients = ratios(fits["ours"], fits[name])
        table.number(
            name,
            float(np.median(quotients)),
            f"{spread(quotients)}; {seconds_of(fits['ours'])} against {seconds_of(fits[name])}; "
            f"relative duality gap {ours:.0e} against {peer_gap:.0e}",
        )


def _rows(n_rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    generator = np.random.default_rng(5)
    X = generator.standard_normal((n_rows, _FEATURES))
    X += 0.5 * generator.standard_normal((n_rows, 1))  # columns share a fifth of their variance
    coef = np.where(np.arange(_FEATURES) % 10 == 0, generator.standard_normal(_FEATURES), 0.0)
    return X, X @ coef + generator.standard_normal(n_rows)


def _gap(X: npt.NDArray[Any], y: npt.NDArray[Any], fit: Fit) -> float:
    """Return the duality gap of the coefficients with the best intercept, divided by var(y)."""
    coef = fit.coef[:-1]
    residual = y - X @ coef
    residual -= residual.mean()
    n = len(y)
    slopes = residual @ (X - X.mean(axis=0)) / n
    shrink = min(1.0, ALPHA / np.abs(slopes).max())
    squares = residual @ residual / n
    product = residual @ (y - y.mean()) / n
    gap = 0.5 * squares * (1 + shrink**2) - shrink * product + ALPHA * np.abs(coef).sum()
    return float(gap / y.var())
