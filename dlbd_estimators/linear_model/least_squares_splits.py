"""Ridge, lasso and elastic net of many strengths on the splits of a cross-validation, by moments.

One pass brings the second moments of each part of the rows: models and squared errors of all
candidates and splits follow from them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from dlbd_estimators.base.validation import training_data
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.passes import Pass
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.exceptions import MatrixTooLarge
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.cv_splits import divided
from dlbd_estimators.linear_model.search import least_squares_problem
from dlbd_estimators.linear_model.split_fits import Scaling, SplitFits
from dlbd_estimators.solvers import Problem, Solution, Status
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, Factor
from dlbd_estimators.solvers.minimizer import MinimizerState
from dlbd_estimators.solvers.moment_scores import (
    QUADRATIC,
    about_zero,
    check_split,
    deviations,
    join,
    squared_errors,
)
from dlbd_estimators.solvers.part_moments import ask_part_moments
from dlbd_estimators.solvers.proximal.coefficient_path import CoefficientPath

#: Coefficients (n_targets, n_features) and intercepts.
Model = tuple[FloatArray, FloatArray]

#: Beyond this condition of second moments, their rounding is more than a millionth.
_WORST_CONDITION = 1e9


def may_share(model: Any) -> bool:
    """Tell whether a model's fit to a split follows from second moments."""
    if model.checkpoint is not None or model.verbose or getattr(model, "warm_start", False):
        return False
    if not isinstance(model.alpha, int | float | np.number) or isinstance(model.alpha, bool):
        return False
    has_l1 = hasattr(model, "l1_ratio") or hasattr(model, "selection")
    if model.positive and not has_l1:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each fit that follows tells what there is to tell
            model._asked_for()
            model._penalties(1)
    except (ValueError, TypeError):  # its own fit says so
        return False
    return True


def fit_least_squares_on_splits(
    candidates: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    cv: Any,
    scaling: Scaling | None,
    train_scores: bool,
) -> SplitFits | None:
    """Fit least squares with several penalties to all splits of a cross-validation, by one pass.

    Parameters and return value are described once, in :class:`FitOnSplits`. The candidates are
    Ridge, or Lasso and ElasticNet. It returns None where there are too many features for second
    moments, or where rounding makes second moments too inaccurate.
    """
    reader = clone(candidates[0])
    rows = training_data(reader, X, y, sample_weight, classify=False)
    n_outputs = rows.y_shape[0] if rows.y_shape else 1
    ridge = not hasattr(reader, "selection")
    if rows.blocks.n_features > LARGEST_HESSIAN or (n_outputs > 1 and not ridge):
        return None
    packing = Packing(n_outputs, rows.blocks.n_features, True)
    with executor_for(rows.blocks) as executor:
        blocks, splits = divided(reader, rows.blocks, executor, cv=cv)
        name, otherwise = type(reader).__name__.lower(), "fit each candidate by itself"
        try:
            problem = least_squares_problem(
                executor, blocks, packing, L2(), None, name=name, otherwise=otherwise
            )
        except MatrixTooLarge:
            return None
        moments, n_passes = _moments(executor, problem, splits)
    fits = SplitFits([None] * len(candidates), n_passes)
    n = packing.n_features
    found = _solve_all(candidates, moments, splits, n, scaling, fits, train_scores=train_scores)
    for place, candidate in enumerate(candidates):
        models = []
        for coef, intercept in found[place]:
            model = _model(candidate, packing, coef, intercept, single=not rows.y_shape)
            model.n_features_in_ = reader.n_features_in_
            if hasattr(reader, "feature_names_in_"):
                model.feature_names_in_ = reader.feature_names_in_
            models.append(model)
        fits.models[place] = models if len(models) == len(splits.train) else None
    return fits


def _solve_all(
    candidates: Sequence[Any],
    moments: list[Moments],
    splits: Splits,
    n: int,
    scaling: Scaling | None,
    fits: SplitFits,
    *,
    train_scores: bool,
) -> list[list[Model]]:
    """Return each candidate's models of all splits, those that there are; fill in the scores."""
    shape = len(candidates), len(splits.train)
    for scores in (fits.test, fits.train) if train_scores else (fits.test,):
        scores.update({name: np.full(shape, np.nan) for name in QUADRATIC})
    found: list[list[Model]] = [[] for _ in candidates]
    with single_threaded_blas:
        for number in range(shape[1]):
            raw, test = (join(moments, each[number]) for each in (splits.train, splits.test))
            check_split(number, raw, test)
            split = _Split.of(raw, n, scaling)
            for place, model in enumerate(_solve(candidates, split, n)):
                if model is None:
                    continue
                found[place].append(model)
                fitted, where = bool(candidates[place].fit_intercept), (place, number)
                _score(fits.test, where, split, test, model, fit_intercept=fitted)
                if train_scores:
                    _score(fits.train, where, split, raw, model, fit_intercept=fitted)
    return found


def _moments(executor: Executor, problem: Problem, splits: Splits) -> tuple[list[Moments], float]:
    """Read the moments of each part; where there is room for one at a time, by several passes."""
    asking, told, n_passes = ask_part_moments(problem, splits, precise=True), None, 0
    while True:
        try:
            asked = asking.send(told)
        except StopIteration as end:
            return end.value, float(n_passes)
        assert isinstance(asked, Pass)
        n_passes += 1
        named = replace(asked, name=asked.name.format(n_passes))
        told = executor.sweep([named], problem.blocks)[0].partial


@dataclass(frozen=True)
class _Split:
    """Moments of what a split trains on, as they are and as the step before leaves the columns.

    Attributes
    ----------
    raw, scaled : Moments
        Centred.
    means, widths : ndarray of shape (n_features,)
        What columns lose, and are divided by.
    """

    raw: Moments
    scaled: Moments
    means: FloatArray
    widths: FloatArray

    @classmethod
    def of(cls, raw: Moments, n: int, scaling: Scaling | None) -> _Split:
        if scaling is None:
            return cls(raw, raw, np.zeros(n), np.ones(n))
        widths = scaling(raw.mean[:n], np.diag(raw.products)[:n] / raw.weight, raw.n_rows)
        means = raw.mean[:n] if scaling.with_mean else np.zeros(n)
        unit = np.concatenate([widths, np.ones(len(raw.mean) - n)])
        left = np.concatenate([means, np.zeros(len(raw.mean) - n)])
        scaled = replace(
            raw,
            origin=(raw.origin - left) / unit,
            rest=raw.rest / unit,
            products=raw.products / np.outer(unit, unit),
        )
        return cls(raw, scaled, means, widths)


def _solve(candidates: Sequence[Any], split: _Split, n: int) -> list[Model | None]:
    """Return each candidate's coefficients and intercepts, of the columns as a step leaves them.

    None is that of a candidate whose moments are too rough: its own fit reads the data again.
    """
    found: list[Model | None] = [None] * len(candidates)
    paths: dict[tuple[bool, bool], CoefficientPath] = {}
    about = {True: split.scaled, False: about_zero(split.scaled)}
    # From the strongest penalty to the weakest, as a path is walked.
    for place in np.argsort([-float(each.alpha) for each in candidates], kind="stable").tolist():
        model = candidates[place]
        fitted, alpha = bool(model.fit_intercept), float(model.alpha)
        moments = about[fitted]
        if not hasattr(model, "selection"):
            factor = Factor.of(moments.products[:n, :n] + alpha * np.eye(n))
            if factor.condition > _WORST_CONDITION:
                continue
            coef = factor.solve(moments.products[:n, n:]).T
        else:
            key = fitted, bool(model.positive)
            if key not in paths:
                paths[key] = CoefficientPath(moments, positive=key[1])
            ratio = float(getattr(model, "l1_ratio", 1.0))
            coef = paths[key].coefficients(ratio, np.array([alpha]))
        mean = split.scaled.mean if fitted else np.zeros(len(split.scaled.mean))
        found[place] = coef, mean[n:] - coef @ mean[:n]
    return found


def _score(
    scores: dict[str, FloatArray],
    where: tuple[int, int],
    split: _Split,
    rows: Moments,
    model: Model,
    *,
    fit_intercept: bool,
) -> None:
    """Fill in the scores of one model on the rows of these moments."""
    coef, n = model[0] / split.widths, model[0].shape[1]
    errors = squared_errors(split.raw, rows, coef[None], fit_intercept=fit_intercept)
    for name, score in QUADRATIC.items():
        defined = name != "r2" or rows.n_rows > 1
        each = score(errors, rows.weight, deviations(rows, n))
        scores[name][where] = each[0].mean() if defined else np.nan


def _model(
    candidate: Any, packing: Packing, coef: FloatArray, intercept: FloatArray, *, single: bool
) -> Any:
    """Return a fitted model."""
    model = clone(candidate)
    parameters = packing.pack(coef, intercept)
    state = MinimizerState(parameters)
    solution = Solution(parameters, Status.CONVERGED, 1, 1.0, [], state)
    vars(model).update(model._attributes(packing, single, solution))
    return model
