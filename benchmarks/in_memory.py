"""Compare fits on NumPy arrays in this process with scikit-learn and scikit-learn-intelex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from lines import Table
from peers import Intelex, PeerUnavailable
from sklearn import linear_model
from timing import Fit, difference, in_turns, ratios, seconds_of, spread, timed_fit
from workload import FEATURES, Workload, float64_rows

from dlbd_estimators import LogisticRegression, Ridge

#: A fit is accurate enough if its coefficients differ from a reference by at most this, relative
#: to the largest coefficient.
ACCURACY = 1e-6


def _reference(X: Any, y: Any) -> Fit:
    model = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    return timed_fit(model, X, y)


def _record(table: Table, name: str, fits: dict[str, list[Fit]], their: str, note: str) -> None:
    quotients = ratios(fits["ours"], fits[their])
    table.number(
        name,
        float(np.median(quotients)),
        f"{spread(quotients)}; {seconds_of(fits['ours'])} against {seconds_of(fits[their])}; "
        f"{note}",
    )


def _differences(ours: Fit, theirs: Fit, reference: Fit) -> str:
    return (
        f"off by {difference(ours, reference):.0e} and {difference(theirs, reference):.0e} "
        f"from tol 1e-12"
    )


def two_classes(workload: Workload, table: Table, peers: bool) -> None:
    """Compare logistic regression and Ridge on the same X, with all available peers."""
    X, y, target = float64_rows(workload.memory_rows, FEATURES, 2, seed=0)
    logistic: dict[str, Callable[[], Fit]] = {
        "ours": lambda: timed_fit(LogisticRegression(), X, y),
        "lbfgs": lambda: timed_fit(linear_model.LogisticRegression(tol=1e-8, max_iter=1000), X, y),
    }
    ridge: dict[str, Callable[[], Fit]] = {"ours": lambda: timed_fit(Ridge(), X, target)}
    if not peers:
        _compare(workload, table, logistic, ridge, X, y, target)
        return
    try:
        with Intelex(workload.folder, X, y, target) as intelex:
            logistic["intelex"] = intelex.logistic
            ridge["intelex"] = intelex.ridge
            _compare(workload, table, logistic, ridge, X, y, target)
    except PeerUnavailable as error:
        for name in ("intelex", "intelex-ridge"):
            table.skip(name, str(error))
        logistic.pop("intelex", None)
        ridge.pop("intelex", None)
        _compare(workload, table, logistic, ridge, X, y, target)


def _compare(
    workload: Workload,
    table: Table,
    logistic: dict[str, Callable[[], Fit]],
    ridge: dict[str, Callable[[], Fit]],
    X: npt.NDArray[Any],
    y: npt.NDArray[Any],
    target: npt.NDArray[Any],
) -> None:
    fits = in_turns(logistic, workload.repeats, warm_up=True)
    tight = _reference(X, y)
    for their in ("lbfgs", "intelex"):
        if their in fits:
            note = _differences(fits["ours"][-1], fits[their][-1], tight)
            _record(table, their, fits, their, note)
    fast = linear_model.LogisticRegression(solver="newton-cholesky")
    table.reference(
        "scikit-learn's newton-cholesky on the same {memory_rows} x 100 float64 rows",
        f"{tight} at tol 1e-12; {timed_fit(fast, X, y)} at its default tol 1e-4",
    )
    fits = in_turns(ridge, workload.repeats, warm_up=True)
    slow = timed_fit(linear_model.Ridge(), X, target)
    if "intelex" in fits:
        coef_difference = difference(fits["ours"][-1], fits["intelex"][-1])
        _record(
            table, "intelex-ridge", fits, "intelex", f"coefficients differ by {coef_difference:.0e}"
        )
    table.reference(
        "scikit-learn's Ridge on the same rows", f"{slow}; ours {seconds_of(fits['ours'])}"
    )


def ten_classes(workload: Workload, table: Table) -> None:
    """Compare a multinomial fit with scikit-learn's fastest settings that are accurate enough."""
    X, y, _ = float64_rows(workload.multinomial_rows, 50, 10, seed=1)
    reference = _reference(X, y)
    accurate = {}
    for solver in ("lbfgs", "newton-cg"):
        for tol in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
            model = linear_model.LogisticRegression(solver=solver, tol=tol, max_iter=1000)
            fit = timed_fit(model, X, y)
            if difference(fit, reference) <= ACCURACY:
                accurate[solver, tol] = fit.seconds
                break  # smaller tolerances only take longer
    if not accurate:
        table.skip("multinomial", f"no solver of scikit-learn came within {ACCURACY:g}")
        return
    solver, tol = min(accurate, key=accurate.__getitem__)
    fits = in_turns(
        {
            "ours": lambda: timed_fit(LogisticRegression(), X, y),
            "theirs": lambda: timed_fit(
                linear_model.LogisticRegression(solver=solver, tol=tol, max_iter=1000), X, y
            ),
        },
        workload.repeats,
        warm_up=True,
    )
    ours = fits["ours"][-1]
    note = f"{solver} at tol {tol:g}; {_differences(ours, fits['theirs'][-1], reference)}"
    _record(table, "multinomial", fits, "theirs", f"{ours.model.solver_} against {note}")
    table.reference(
        "scikit-learn's newton-cholesky on the same {multinomial_rows} x 50 rows",
        f"{reference} at tol 1e-12",
    )


def many_classes(workload: Workload, table: Table) -> None:
    """Compare multinomial fits of 30 and 100 classes with scikit-learn's two fastest solvers."""
    for n_classes in (30, 100):
        X, y, _ = float64_rows(workload.multinomial_rows, 50, n_classes, seed=n_classes)
        theirs = {
            solver: linear_model.LogisticRegression(solver=solver, tol=1e-7, max_iter=1000)
            for solver in ("lbfgs", "newton-cg")
        }
        contestants: dict[str, Callable[[], Fit]] = {
            "ours": lambda X=X, y=y: timed_fit(LogisticRegression(), X, y),
            **{
                solver: lambda model=model, X=X, y=y: timed_fit(model, X, y)
                for solver, model in theirs.items()
            },
        }
        fits = in_turns(contestants, min(workload.repeats, 2), warm_up=False)
        fastest = min(theirs, key=lambda solver: np.median([f.seconds for f in fits[solver]]))
        ours = fits["ours"][-1]
        note = (
            f"{ours.model.solver_} against {fastest} at tol 1e-7; coefficients differ by "
            f"{difference(ours, fits[fastest][-1]):.0e}"
        )
        _record(table, f"classes-{n_classes}", fits, fastest, note)


def bad_scales(workload: Workload, table: Table) -> None:
    """Check each coefficient, on columns whose scales span six orders of magnitude."""
    X, _, _ = float64_rows(workload.scaled_rows, 30, 2, seed=2)
    generator = np.random.default_rng(3)
    # For columns of equal scale, all coefficients have a similar size, so that none is nearly 0.
    coef = generator.uniform(0.2, 0.6, 30) * generator.choice([-1.0, 1.0], 30)
    y = X @ coef > generator.logistic(size=len(X))
    X *= np.logspace(-3, 3, 30)
    spread = X.std(axis=0)
    errors, apart = [], []
    for C in (1.0, np.inf):
        ours = timed_fit(LogisticRegression(C=C), X, y)
        tight = linear_model.LogisticRegression(
            C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000
        )
        theirs = timed_fit(tight, X, y)
        # As ``tol`` is defined: in standard units, relative to the largest coefficient.
        reference = theirs.model.coef_[0]
        difference = spread * np.abs(ours.model.coef_[0] - reference)
        errors.append(float(difference.max() / (spread * np.abs(reference)).max()))
        apart.append(float(np.abs(ours.coef / theirs.coef - 1).max()))
    table.claim(
        "ill-conditioned",
        max(errors) <= table.limit("ill-conditioned"),
        f"{errors[0]:.0e} with C=1, {errors[1]:.0e} without a penalty; each coefficient relative "
        f"to itself {apart[0]:.0e} and {apart[1]:.0e}",
    )
