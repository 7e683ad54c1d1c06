"""Logistic regressions with many strengths of the penalty, fitted to all splits of a search."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from sklearn.base import clone

from dlbd_estimators.base.callbacks import fit_task
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.column_moments import ColumnMoments, ColumnMomentsKernel
from dlbd_estimators.kernels.parts import PartKernel, Splits
from dlbd_estimators.kernels.paths import PathKernel, PathSums
from dlbd_estimators.kernels.sweep import SweepKernel
from dlbd_estimators.linear_model.logistic_choice import TooManyParameters
from dlbd_estimators.linear_model.logistic_parameters import UNSET, check_parameters
from dlbd_estimators.linear_model.logistic_paths import SearchData
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.linear_model.split_fits import Scaling, SplitFits
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch
from dlbd_estimators.solvers.smooth.logistic_search_state import LogisticSearchState
from dlbd_estimators.solvers.smooth.path_sample import packed_scale

#: Largest error of a coefficient before the last step, which reduces it at least tenfold. Scores
#: are then accurate to a millionth.
_ACCURACY = 1e-4
_ADVICE = "leave out the largest values of C"


def may_share(model: Any) -> bool:
    """Return whether the fits of a logistic regression can share passes with others.

    They cannot with an l1 part, or without a penalty, because classes may be separable. They also
    cannot if class weights depend on the split, or if a fit has its own checkpoint, start or
    output, or is private.
    """
    plain = model.penalty == UNSET and model.l1_ratio is not None and model.n_jobs is None
    plain = plain and model.privacy is None
    plain = plain and model.checkpoint is None and not (model.warm_start or model.verbose)
    if not plain or isinstance(model.class_weight, str):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit itself will warn
            penalty, _ = check_parameters(model)
    except (ValueError, TypeError):  # the fit itself will raise it
        return False
    return penalty.l1_ratio == 0 and bool(np.isfinite(penalty.C)) and model.max_iter > 0


def fit_logistic_on_splits(
    candidates: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    cv: Any,
    scaling: Scaling | None,
    train_scores: bool,
) -> SplitFits | None:
    """Fit models with several strengths of the penalty to all splits, in shared passes.

    Parameters and return value are described in :class:`FitOnSplits`. The candidates are
    LogisticRegression estimators that differ only in ``C``. The result is None if a model has too
    many parameters for a Hessian. Candidates that do not converge have to be fitted separately.
    """
    reader = clone(candidates[0])
    with fit_task(reader, X, y, sample_weight) as task:
        rows = training_data(reader, X, y, sample_weight, classify=True)
        with executor_for(rows.blocks) as executor:
            try:
                data = SearchData.of(reader, executor, rows.blocks, task, cv)
            except TooManyParameters:
                task.status = "stopped"
                return None
            scaled = None if scaling is None else _scaled(executor, data, scaling)
            solver = LogisticSearch(
                np.array([float(each.C) for each in candidates]),
                data.splits,
                data.factors,
                data.totals,
                score="neg_log_loss",
                refit=False,
                accuracy=_ACCURACY,
                widths=None if scaled is None else scaled.widths,
            )
            problem = data.problem(1.0, 0.0)
            options: dict[str, Any] = {"task": task, "model": _no_attributes, "advice": _ADVICE}
            solution = search(reader, executor, problem, solver, **options)
            state: Any = solution.state
            test, train = _scores(executor, data, state, also_train=train_scores)
    paths = solver.paths(problem, state)
    unconverged = state.unconverged.any(axis=0)
    models: list[list[Any] | None] = [
        # A fit of its own converges or warns.
        None
        if unconverged[index]
        else [
            _model(candidate, reader, data, each, None if scaled is None else scaled.of(number))
            for number, each in enumerate(paths[:, index])
        ]
        for index, candidate in enumerate(candidates)
    ]
    n_passes = reader.n_passes_ + 1.0 + (scaled is not None)
    return SplitFits(models, n_passes, test, train)


def _no_attributes(_solution: Solution) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class _Scaled:
    """The scaling of each split: ``means`` are subtracted, ``widths`` divide the columns."""

    means: FloatArray
    widths: FloatArray

    def of(self, number: int) -> tuple[FloatArray, FloatArray]:
        return self.means[number], self.widths[number]


def _scaled(executor: Executor, data: SearchData, scaling: Scaling) -> _Scaled:
    """Compute the scaling of each split, in one pass."""
    splits = data.splits
    kernels = tuple(PartKernel(ColumnMomentsKernel(), part) for part in range(splits.n_parts))
    parts: tuple[ColumnMoments, ...] = executor.map_reduce(
        SweepKernel(kernels), (None,) * len(kernels), data.plain, name="columns-of-folds"
    ).partial
    means, widths = [], []
    for trained in splits.train:
        joined = reduce(ColumnMomentsKernel().combine, (parts[part] for part in trained))
        widths.append(scaling(joined.mean, joined.squares / joined.n_rows, joined.n_rows))
        means.append(joined.mean if scaling.with_mean else np.zeros_like(joined.mean))
    return _Scaled(np.array(means), np.array(widths))


def _scores(
    executor: Executor,
    data: SearchData,
    state: LogisticSearchState,
    *,
    also_train: bool,
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Score all models on the test rows, and optionally the training rows, in one pass."""
    assert state.models is not None
    assert state.scale is not None
    packing, splits = data.packing, data.splits
    models = state.models / packed_scale(packing, state.scale)
    centre = state.known.subtracted
    scored = [splits]
    if also_train:
        scored.append(Splits(splits.test, splits.train, splits.all_rows))
    kernels = tuple(
        PathKernel(packing, scored_splits, centre=centre, gradients=False)
        for scored_splits in scored
    )
    sums: tuple[PathSums, ...] = executor.map_reduce(
        SweepKernel(kernels), (models,) * len(scored), data.plain, name="scores-of-folds"
    ).partial
    found: list[dict[str, FloatArray]] = [
        {
            "accuracy": (1.0 - each.wrong / each.weight[:, None]).T,
            "neg_log_loss": (-each.losses / each.weight[:, None]).T,
        }
        for each in sums
    ]
    return found[0], found[1] if also_train else {}


def _model(
    candidate: Any,
    reader: Any,
    data: SearchData,
    parameters: FloatArray,
    scaled: tuple[FloatArray, FloatArray] | None,
) -> Any:
    """Return a fitted model for the columns that the scaler before it returns."""
    coef, intercept = data.packing.unpack(parameters)
    if scaled is not None:
        mean, width = scaled
        intercept = intercept + coef @ mean
        coef = coef * width
    model = clone(candidate)
    model.n_features_in_ = reader.n_features_in_
    if hasattr(reader, "feature_names_in_"):
        model.feature_names_in_ = reader.feature_names_in_
    model.classes_, model.coef_, model.intercept_ = data.classes, coef, intercept
    model.n_iter_ = np.array([len(reader.history_)], dtype=np.int32)
    model.solver_ = reader.solver_
    return model
