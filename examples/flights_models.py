"""The models of the flights example: trained out of core, and again by scikit-learn in memory."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import flights_network
import numpy as np
import numpy.typing as npt
from distributed import Client
from flights_targets import band, is_late, minutes
from local_workers import peak_memory, reset_peak
from sklearn import linear_model
from threadpoolctl import threadpool_limits

from dlbd_estimators import LinearRegression, LogisticRegression, MLPClassifier, Ridge

#: Passes that gradient descent gets: enough to see where it is heading.
DESCENT_PASSES = 200


@dataclass(frozen=True)
class Split:
    """Training and test rows, lazily on the cluster, or all in memory."""

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any

    @classmethod
    def of(cls, X: da.Array, y: da.Array, n_train: int) -> Split:
        """Cut shuffled rows in two."""
        return cls(X[:n_train], y[:n_train], X[n_train:], y[n_train:])

    @cached_property
    def in_memory(self) -> Split:
        """All of it in this process, which scikit-learn needs and we do not."""
        return Split(*dask.compute(self.X_train, self.y_train, self.X_test, self.y_test))

    @cached_property
    def scaled(self) -> Split:
        """The same rows, lazily, with features standardised to the training rows' and float32.

        Means and deviations are found in one pass on the cluster, and nothing is stored: each
        block is standardised when it has been read.
        """
        mean, deviation = dask.compute(self.X_train.mean(axis=0), self.X_train.std(axis=0))
        deviation[deviation == 0.0] = 1.0
        X_train, X_test = (
            ((X - mean) / deviation).astype(np.float32) for X in (self.X_train, self.X_test)
        )
        return Split(X_train, self.y_train, X_test, self.y_test)


@dataclass(frozen=True)
class Task:
    """A model to train, and the scikit-learn estimator to compare it with.

    Attributes
    ----------
    name : str
        What is predicted.
    score_name : str
        What ``score`` returns.
    model, reference : estimator
        Ours, and scikit-learn's: its solver that gets to 1e-6 fastest, or its network.
    target : callable
        Makes the model's target from delays in minutes, NumPy or Dask.
    """

    name: str
    score_name: str
    model: Any
    reference: Any
    target: Callable[[Any], Any]

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, which needs features of like size."""
        return isinstance(self.model, MLPClassifier)

    @property
    def solver(self) -> str:
        """Name of the solver."""
        return str(self.model.solver if self.is_network else self.model.solver_)

    def rows(self, split: Split) -> Split:
        """The rows as the model takes them."""
        return split.scaled if self.is_network else split


@dataclass(frozen=True)
class Result:
    """What training brought, one row of the report.

    Attributes
    ----------
    task : Task
        With the model fitted.
    seconds : float
        Of the fit.
    peak : int
        Largest resident memory of a worker during the fit, in bytes.
    score, baseline : float
        On the test rows: the model's, and that of the training rows' mean or largest class.
    reference_seconds : float
        Of scikit-learn's fit, without loading the data.
    difference : float
        ``max |a - b| / max |b|``, b being scikit-learn's, the larger of that of the coefficients
        and that of the intercepts. NaN for networks: rows come in another order.
    notes : list of str
        Warnings of the fit.
    """

    task: Task
    seconds: float
    peak: int
    score: float
    baseline: float
    reference_seconds: float
    difference: float
    notes: list[str]


def tasks() -> list[Task]:
    """All models of the report.

    The references' ``tol`` leaves them about 1e-9 from the solution: more would not be fair to
    their time, less not to the comparison.
    """
    tight = {"solver": "newton-cholesky", "tol": 1e-8}
    late = linear_model.LogisticRegression(**tight)
    descent = LogisticRegression(solver="gradient_descent", max_iter=DESCENT_PASSES)
    return [
        Task("delay", "R2", LinearRegression(), linear_model.LinearRegression(), minutes),
        Task("delay, ridge", "R2", Ridge(), linear_model.Ridge(solver="cholesky"), minutes),
        Task("late > 15 min", "accuracy", LogisticRegression(), late, is_late),
        Task("late > 15 min", "accuracy", descent, late, is_late),
        Task(
            "late > 15 min",
            "accuracy",
            flights_network.out_of_core(),
            flights_network.in_memory(),
            is_late,
        ),
        Task(
            "delay band",
            "accuracy",
            LogisticRegression(),
            linear_model.LogisticRegression(**tight),
            band,
        ),
    ]


def train(task: Task, split: Split, client: Client) -> Result:
    """Fit one model on the cluster, and score it."""
    target = task.target
    reset_peak(client)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = task.rows(split)  # here: a pass for means and deviations is part of the work
        task.model.fit(rows.X_train, target(rows.y_train))
    seconds = time.perf_counter() - began
    peak = max(peak_memory(client).values())
    score = task.model.score(rows.X_test, target(rows.y_test))
    baseline = _baseline(target(split.in_memory.y_train), target(split.in_memory.y_test))
    notes = sorted({str(warning.message) for warning in caught})
    return Result(task, seconds, peak, score, baseline, np.nan, np.nan, notes)


def compare(result: Result, split: Split, known: dict[int, float]) -> Result:
    """Fit scikit-learn's estimator to the same rows in memory, and compare coefficients.

    Parameters
    ----------
    result : Result
        From :func:`train`.
    split : Split
        The rows.
    known : dict
        Seconds of references already fitted, by identity; filled here.
    """
    task = result.task
    if id(task.reference) not in known:
        local = task.rows(split).in_memory
        target = task.target(local.y_train)
        # Two threads of BLAS wait for each other whenever another process runs as well, which
        # made these fits up to 14 times as long: one is slower at best, and never slow.
        with threadpool_limits(1):
            began = time.perf_counter()
            task.reference.fit(local.X_train, target)
            known[id(task.reference)] = time.perf_counter() - began
    return Result(
        task,
        result.seconds,
        result.peak,
        result.score,
        result.baseline,
        known[id(task.reference)],
        np.nan if task.is_network else _difference(task.model, task.reference),
        result.notes,
    )


def problem(model: Any, split: Split) -> float:
    """Mean objective of a two-class model, evaluated in memory: comparable with ``history_``."""
    local = split.in_memory
    margin = np.where(is_late(local.y_train), 1.0, -1.0) * (
        local.X_train @ model.coef_[0] + model.intercept_[0]
    )
    penalty = model.coef_[0] @ model.coef_[0] / (2.0 * model.C * len(margin))
    return float(np.logaddexp(0.0, -margin).mean() + penalty)


def _baseline(y_train: npt.NDArray[Any], y_test: npt.NDArray[Any]) -> float:
    if y_train.dtype.kind == "f":
        return 1.0 - float(((y_test - y_train.mean()) ** 2).mean() / y_test.var())
    labels, counts = np.unique(y_train, return_counts=True)
    return float((y_test == labels[counts.argmax()]).mean())


def _difference(model: Any, reference: Any) -> float:
    # Apart, because intercepts (far outside the data, where pressure is 0) dwarf coefficients.
    return max(
        float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
        for ours, theirs in (
            (model.coef_, reference.coef_),
            (np.asarray(model.intercept_), np.asarray(reference.intercept_)),
        )
    )
