"""Ridge, lasso and elastic net with many penalties, fitted to all splits of a search by moments.

One pass computes the second moments of each part of the rows. The models and the squared errors of
all candidates and splits follow from these moments.
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
from dlbd_estimators.linear_model.cv_splits import divide_by_cv
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

#: Largest condition number of the second moments. Above it, their rounding may change a model by
#: more than a millionth.
_WORST_CONDITION = 1e9


def may_share(model: Any) -> bool:
    """Return whether the fit of a model to a split can be computed from second moments."""
    if model.checkpoint is not None or model.verbose or getattr(model, "warm_start", False):
        return False
    if not isinstance(model.alpha, int | float | np.number) or isinstance(model.alpha, bool):
        return False
    has_l1 = hasattr(model, "l1_ratio") or hasattr(model, "selection")
    if model.positive and not has_l1:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit itself will warn
            model._check_parameters()
            model._penalties(1)
    except (ValueError, TypeError):  # the fit itself will raise it
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

    Parameters and return value are described in :class:`FitOnSplits`. The candidates are Ridge
    estimators, or Lasso and ElasticNet estimators. The result is None if there are too many
    features for second moments. The models of a candidate are None if rounding makes the second
    moments too inaccurate for it.
    """
    reader = clone(candidates[0])
    rows = training_data(reader, X, y, sample_weight, classify=False)
    n_outputs = rows.y_shape[0] if rows.y_shape else 1
    ridge = not hasattr(reader, "selection")
    if rows.blocks.n_features > LARGEST_HESSIAN or (n_outputs > 1 and not ridge):
        return None
    packing = Packing(n_outputs, rows.blocks.n_features, True)
    with executor_for(rows.blocks) as executor:
        blocks, splits = divide_by_cv(reader, rows.blocks, executor, cv=cv)
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
    for index, candidate in enumerate(candidates):
        models = []
        for coef, intercept in found[index]:
            model = _model(candidate, packing, coef, intercept, single=not rows.y_shape)
            model.n_features_in_ = reader.n_features_in_
            if hasattr(reader, "feature_names_in_"):
                model.feature_names_in_ = reader.feature_names_in_
            models.append(model)
        fits.models[index] = models if len(models) == len(splits.train) else None
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
    """Return the models of each candidate, and fill in their scores.

    The list of a candidate is shorter than the number of splits if a split has no accurate model.
    """
    shape = len(candidates), len(splits.train)
    for scores in (fits.test, fits.train) if train_scores else (fits.test,):
        scores.update({name: np.full(shape, np.nan) for name in QUADRATIC})
    found: list[list[Model]] = [[] for _ in candidates]
    with single_threaded_blas:
        for number in range(shape[1]):
            raw, test = (join(moments, each[number]) for each in (splits.train, splits.test))
            check_split(number, raw, test)
            split = _Split.of(raw, n, scaling)
            for index, model in enumerate(_solve(candidates, split, n)):
                if model is None:
                    continue
                found[index].append(model)
                fitted, position = bool(candidates[index].fit_intercept), (index, number)
                _score(fits.test, position, split, test, model, fit_intercept=fitted)
                if train_scores:
                    _score(fits.train, position, split, raw, model, fit_intercept=fitted)
    return found


def _moments(executor: Executor, problem: Problem, splits: Splits) -> tuple[list[Moments], float]:
    """Compute the moments of each part; it takes several passes if memory is too small for one."""
    generator, sums, n_passes = ask_part_moments(problem, splits, precise=True), None, 0
    while True:
        try:
            part_pass = generator.send(sums)
        except StopIteration as end:
            return end.value, float(n_passes)
        assert isinstance(part_pass, Pass)
        n_passes += 1
        named = replace(part_pass, name=part_pass.name.format(n_passes))
        sums = executor.sweep([named], problem.blocks)[0].partial


@dataclass(frozen=True)
class _Split:
    """Second moments of the training rows of a split, before and after the scaler.

    Attributes
    ----------
    raw, scaled : Moments
        Centred moments before and after the scaler.
    means, widths : ndarray of shape (n_features,)
        Numbers that the scaler subtracts from the columns, and by which it divides them.
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
        shift = np.concatenate([means, np.zeros(len(raw.mean) - n)])
        scaled = replace(
            raw,
            origin=(raw.origin - shift) / unit,
            rest=raw.rest / unit,
            products=raw.products / np.outer(unit, unit),
        )
        return cls(raw, scaled, means, widths)


def _solve(candidates: Sequence[Any], split: _Split, n: int) -> list[Model | None]:
    """Return coefficients and intercepts of each candidate, for the scaled columns.

    The entry of a candidate is None if the moments are too inaccurate for it. The search then fits
    it separately, by passes over the data.
    """
    found: list[Model | None] = [None] * len(candidates)
    paths: dict[tuple[bool, bool], CoefficientPath] = {}
    moments_by_intercept = {True: split.scaled, False: about_zero(split.scaled)}
    # From the strongest penalty to the weakest, which is the order of a coefficient path.
    for index in np.argsort([-float(each.alpha) for each in candidates], kind="stable").tolist():
        model = candidates[index]
        fitted, alpha = bool(model.fit_intercept), float(model.alpha)
        moments = moments_by_intercept[fitted]
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
        found[index] = coef, mean[n:] - coef @ mean[:n]
    return found


def _score(
    scores: dict[str, FloatArray],
    position: tuple[int, int],
    split: _Split,
    rows: Moments,
    model: Model,
    *,
    fit_intercept: bool,
) -> None:
    """Fill in the scores of one model on the rows that the moments describe."""
    coef, n = model[0] / split.widths, model[0].shape[1]
    errors = squared_errors(split.raw, rows, coef[None], fit_intercept=fit_intercept)
    for name, score in QUADRATIC.items():
        defined = name != "r2" or rows.n_rows > 1
        each = score(errors, rows.weight, deviations(rows, n))
        scores[name][position] = each[0].mean() if defined else np.nan


def _model(
    candidate: Any, packing: Packing, coef: FloatArray, intercept: FloatArray, *, single: bool
) -> Any:
    """Return a fitted copy of a candidate."""
    model = clone(candidate)
    parameters = packing.pack(coef, intercept)
    state = MinimizerState(parameters)
    solution = Solution(parameters, Status.CONVERGED, 1, 1.0, [], state)
    vars(model).update(model._attributes(packing, single, solution))
    return model
