"""Count how often LogisticRegression reads data of many kinds, by default with default parameters.

    python benchmarks/passes.py [--quick] [--rows N] [--features P] [--seed S] [--dtype float32]
                                [--solver auto] [--max-iter N]

The count of passes does not depend on the machine. The error is the largest difference of a
coefficient to scikit-learn's newton-cholesky at tol 1e-12, relative to the largest coefficient,
with all columns scaled to standard deviation 1.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression

N_BLOCKS = 200
Floats = npt.NDArray[np.float64]


@dataclass
class Problem:
    """Features, the model from which labels are drawn, and the parameters of the fit."""

    X: Floats
    coef: Floats
    rng: np.random.Generator
    intercept: float = 0.0
    flipped: float = 0.0
    C: float = 1.0
    weight: Floats | None = None
    order: Callable[[Floats, npt.NDArray[np.intp]], Floats] | None = None

    def rows(self) -> tuple[Floats, npt.NDArray[np.intp]]:
        """Draw labels, and sort the rows if `order` is given."""
        z = (self.X - self.X.mean(axis=0)) @ self.coef + self.intercept
        y = (z > self.rng.logistic(size=len(z))).astype(np.intp)
        y ^= self.rng.random(len(y)) < self.flipped
        if self.order is None:
            return self.X, y
        order = np.argsort(self.order(self.X, y), kind="stable")
        return self.X[order], y[order]


def problems(n_rows: int, n_features: int = 40, seed: int = 0) -> dict[str, Callable[[], Problem]]:
    """Return a function that makes each kind of problem, by name."""

    def plain(scale: float = 0.5, **options: Any) -> Problem:
        rng = np.random.default_rng(seed)
        X, coef = rng.normal(size=(n_rows, n_features)), scale * rng.normal(size=n_features)
        return Problem(X, coef, rng, **options)

    def made(change: Callable[[Problem], Floats]) -> Callable[[], Problem]:
        def make() -> Problem:
            problem = plain()
            problem.X = change(problem)
            return problem

        return make

    def correlated(problem: Problem) -> Floats:
        X = problem.X
        for j in range(1, n_features):
            X[:, j] = 0.95 * X[:, j - 1] + np.sqrt(1 - 0.95**2) * X[:, j]
        return X

    def rounded(problem: Problem) -> Floats:
        X = problem.X
        X[:, : n_features // 2] = np.round(X[:, : n_features // 2], 1)
        X[:, 1:] += 0.4 * X[:, :-1]
        return X

    def scaled() -> Problem:
        problem, scales = plain(), np.logspace(-3, 3, n_features)
        problem.X, problem.coef = problem.X * scales, problem.coef / scales
        return problem

    def weighted() -> Problem:
        problem = plain()
        problem.weight = np.exp(2 * problem.rng.normal(size=n_rows))
        return problem

    return {
        "standard normal": plain,
        "correlated, AR(1) 0.95": made(correlated),
        "half of the columns rounded": made(rounded),
        "Student t, 2.5 degrees": made(lambda p: p.rng.standard_t(2.5, p.X.shape)),
        "scales 1e-3 to 1e3": scaled,
        "one-hot, a level a column": made(
            lambda p: np.eye(n_features)[p.rng.integers(0, n_features, n_rows)]
        ),
        "5 % ones, else zero": made(lambda p: (p.rng.random(p.X.shape) < 0.05) * 1.0),
        "log-normal": made(lambda p: 0.2 * np.exp(1.2 * p.X)),
        "strong signal": lambda: plain(2.0),
        "weak signal": lambda: plain(0.025),
        "1 positive in 1,000": lambda: plain(intercept=-9.0),
        "means of 1e4": made(lambda p: p.X + 1e4),
        "C = 1e-4": lambda: plain(C=1e-4),
        "C = 1e4": lambda: plain(C=1e4),
        "C = inf": lambda: plain(C=np.inf),
        "log-normal weights": weighted,
        "20 % of labels flipped": lambda: plain(flipped=0.2),
        "sorted by label": lambda: plain(order=lambda _, y: y),
        "sorted by a column": lambda: plain(order=lambda X, _: X[:, 0]),
    }


def measure(problem: Problem, dtype: str, **options: Any) -> tuple[float, float]:
    """Fit with these parameters; return the passes, and the largest error of a coefficient."""
    X, y = problem.rows()
    X = X.astype(dtype)
    lengths = len(X) // N_BLOCKS
    lazy = [da.from_array(X, chunks=(lengths, -1)), da.from_array(y, chunks=lengths)]
    if problem.weight is not None:
        lazy.append(da.from_array(problem.weight, chunks=lengths))
    with warnings.catch_warnings():
        # The error shows whether a solver has converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=problem.C, **options).fit(*lazy)
    peer = linear_model.LogisticRegression(
        C=problem.C, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    X = X.astype(np.float64)
    scale = X.std(axis=0)
    with warnings.catch_warnings():
        # scikit-learn's fit depends on the scales of columns: it may not reach 1e-12, and warns.
        warnings.simplefilter("ignore")
        peer.fit((X - X.mean(axis=0)), y, problem.weight)
    expected = peer.coef_[0] * scale
    error = np.abs(model.coef_[0] * scale - expected).max() / np.abs(expected).max()
    return model.n_passes_, float(error)


def main() -> None:
    """Print passes and errors of each kind of problem, their medians and the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--features", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--solver", default="auto", help="the solver, such as gradient_descent")
    parser.add_argument("--max-iter", type=int, default=100)
    given = parser.parse_args()
    options = {"solver": given.solver, "max_iter": given.max_iter}
    n_rows = given.rows // 10 if given.quick else given.rows
    size = f"{n_rows:,} x {given.features} {given.dtype}"
    model = f"LogisticRegression(solver={given.solver!r})"
    print(f"{model}, {size} in {N_BLOCKS} blocks, seed {given.seed}\n")
    print(f"{'shape':<30}{'passes':>8}{'error':>10}")
    found = []
    for name, make in problems(n_rows, given.features, given.seed).items():
        passes, error = measure(make(), given.dtype, **options)
        found.append((passes, error))
        print(f"{name:<30}{passes:>8.2f}{error:>10.0e}", flush=True)
    passes, errors = np.transpose(found)
    print(f"{'median':<30}{np.median(passes):>8.2f}{np.median(errors):>10.0e}")
    print(f"{'worst':<30}{passes.max():>8.2f}{errors.max():>10.0e}")


if __name__ == "__main__":
    main()
