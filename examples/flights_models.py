"""The models of the flights example, trained out of core, and by scikit-learn in memory."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask
import flights_network
import numpy as np
import numpy.typing as npt
from distributed import Client
from flights_targets import band, is_late, minutes
from local_workers import peak_memory, reset_peak
from sklearn import linear_model
from threadpoolctl import threadpool_limits

from dlbd_estimators import LinearRegression, LogisticRegression, MLPClassifier, Ridge

#: Number of passes of gradient descent: enough to see its rate of convergence.
DESCENT_PASSES = 200


@dataclass(frozen=True)
class Split:
    """Training and test rows, lazy on the cluster or in memory."""

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any

    @cached_property
    def in_memory(self) -> Split:
        """The same rows in the memory of this process, for scikit-learn."""
        return Split(*dask.compute(self.X_train, self.y_train, self.X_test, self.y_test))

    @cached_property
    def scaled(self) -> Split:
        """The same rows, lazy, with features as float32, standardised by the training rows.

        Means and standard deviations are computed in one pass on the cluster. Nothing is stored:
        each block is standardised after it has been read.
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
        The target.
    score_name : str
        Name of the number that ``score`` returns.
    model, reference : estimator
        Our model, and scikit-learn's: with its fastest solver that reaches 1e-6, or its network.
    target : callable
        Computes the model's target from delays in minutes, a NumPy or Dask array.
    """

    name: str
    score_name: str
    model: Any
    reference: Any
    target: Callable[[Any], Any]

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, which needs features of similar scale."""
        return isinstance(self.model, MLPClassifier)

    @property
    def solver(self) -> str:
        """Name of the solver."""
        return str(self.model.solver if self.is_network else self.model.solver_)

    def rows(self, split: Split) -> Split:
        """Return the rows in the form that the model needs."""
        return split.scaled if self.is_network else split


@dataclass(frozen=True)
class Result:
    """The result of a training, one row of the report.

    Attributes
    ----------
    task : Task
        The task, with a fitted model.
    seconds : float
        Time of the fit.
    peak : int
        Largest resident memory of a worker during the fit, in bytes.
    score, baseline : float
        Scores on the test rows: of the model, and of always predicting the mean or the largest
        class of the training rows.
    reference_seconds : float
        Time of scikit-learn's fit, without loading the data.
    difference : float
        ``max |a - b| / max |b|`` where b is scikit-learn's. It is computed for the coefficients and
        for the intercepts; this is the larger one. NaN for networks, whose rows come in another
        order.
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
    """Return all models of the report.

    With their ``tol`` the references are about 1e-9 from the solution. A smaller ``tol`` would make
    them unfairly slow, a larger one would make the comparison of coefficients unfair.
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
    """Fit one model on the cluster and compute its score."""
    target = task.target
    reset_peak(client)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = task.rows(split)  # timed, too: it may take a pass for means and deviations
        task.model.fit(rows.X_train, target(rows.y_train))
    seconds = time.perf_counter() - began
    peak = max(peak_memory(client).values(), default=0)
    score = task.model.score(rows.X_test, target(rows.y_test))
    baseline = _baseline(target(split.in_memory.y_train), target(split.in_memory.y_test))
    notes = sorted({str(warning.message) for warning in caught})
    return Result(task, seconds, peak, score, baseline, np.nan, np.nan, notes)


def compare(result: Result, split: Split, known: dict[int, float]) -> Result:
    """Fit scikit-learn's estimator to the same rows in memory, and compare the coefficients.

    Parameters
    ----------
    result : Result
        From :func:`train`.
    split : Split
        The rows.
    known : dict
        Seconds of the references that are already fitted, by ``id``. A new one is added.
    """
    task = result.task
    if id(task.reference) not in known:
        local = task.rows(split).in_memory
        target = task.target(local.y_train)
        # Two BLAS threads wait for each other if another process runs at the same time, which made
        # these fits up to 14 times slower. One thread is a little slower, but never by so much.
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
    """Return the mean objective of a two-class model, in the units of ``history_``.

    It is evaluated in memory.
    """
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
    # Separately, because intercepts are much larger than coefficients: they are predictions far
    # outside the data, for a pressure of 0.
    return max(
        float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
        for ours, theirs in (
            (model.coef_, reference.coef_),
            (np.asarray(model.intercept_), np.asarray(reference.intercept_)),
        )
    )
