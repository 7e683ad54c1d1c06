"""Ridge regression whose penalty is chosen by cross-validation, in one or two passes.

The first pass computes the centred second moments of each fold. The moments of a split's training
rows are their sums, and give the models for all strengths. The moments of its test rows give the
scores (:mod:`dlbd_estimators.solvers.moment_scores`). Leave-one-out errors need a second pass
(:mod:`dlbd_estimators.kernels.leave_one_out`). The chosen model is solved from the moments of all
rows. If their condition number requires it, the solution is refined by more passes, as
:class:`~dlbd_estimators.solvers.smooth.gram.Gram` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from dlbd_estimators.engine.passes import Pass
from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.leave_one_out import LeaveOneOutKernel, LeaveOneOutSums, RidgePath
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.kernels.one_versus_rest import LabelledKernel
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.paths import PathKernel, PathSums
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.moment_scores import (
    QuadraticScore,
    about_zero,
    check_split,
    deviations,
    join,
    negative_mean_squared_error,
    squared_errors,
)
from dlbd_estimators.solvers.part_moments import ask_part_moments
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.gram import Gram, GramState, solve_moments
from dlbd_estimators.solvers.solver import PassGenerator, State

#: If the rounding of float32 products times the condition number is larger, they become float64.
_ROUGH = 1e-3

#: A function that scores models by their predictions. Its arguments: the number of the split, the
#: coefficients and the intercepts.
ModelScore = Callable[[int, FloatArray, FloatArray], FloatArray]
#: A function that scores models by leave-one-out errors (n_rows, n_alphas, n_targets).
RowScore = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class RidgeSearchState(GramState):
    """The state of a ridge search: adds the chosen strengths and the scores.

    Attributes
    ----------
    alphas : ndarray of shape (n_targets,) or None
        The strength for each target; None until it is chosen.
    scores : ndarray of shape (n_splits, n_alphas) or (n_alphas, n_targets) or None
        Scores of each split or, for leave-one-out, of each target.
    best_scores : ndarray of shape (n_targets,) or None
        Scores of the chosen strengths.
    errors : ndarray of shape (n_rows, n_alphas, n_targets) or None
        Leave-one-out errors, if they are kept.
    """

    shapes: ClassVar[Shapes] = {"alphas": ("n_targets",), "best_scores": ("n_targets",)}

    alphas: FloatArray | None = None
    scores: FloatArray | None = None
    best_scores: FloatArray | None = None
    errors: FloatArray | None = None


@dataclass(frozen=True)
class _SplitModels:
    """Moments of a split's training rows and test rows, and its models for all strengths."""

    train: Moments
    test: Moments
    coef: FloatArray
    intercept: FloatArray


class _RidgeSearch(Minimizer[RidgeSearchState]):
    """Base class of the searches: after the choice, the steps are those of a ridge regression."""

    name: ClassVar[str] = "gram"
    state: ClassVar[type[State]] = RidgeSearchState
    needs: ClassVar[frozenset[str]] = frozenset({"quadratic", "smooth"})
    direct: ClassVar[bool] = True

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[RidgeSearchState]:
        yield from ()  # it begins without a pass
        return RidgeSearchState(np.zeros(problem.packing.size), known=problem.known)

    def step(
        self, problem: Problem, state: RidgeSearchState, tol: float
    ) -> PassGenerator[RidgeSearchState]:
        if state.alphas is None:
            return self._search(problem, state)
        return _refine(problem, state, tol)

    def _search(self, problem: Problem, state: RidgeSearchState) -> PassGenerator[RidgeSearchState]:
        raise NotImplementedError


class RidgeFolds(_RidgeSearch):
    """Choose the strength by the splits of a cross-validation.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths, at least 0.
    splits : Splits
        How the problem's blocks are divided.
    score : callable
        A quadratic score or, with ``by_predictions``, a score of coefficients and intercepts.
    by_predictions : bool
        Whether ``score`` takes coefficients and intercepts.
    """

    def __init__(
        self,
        alphas: FloatArray,
        splits: Splits,
        *,
        score: QuadraticScore | ModelScore,
        by_predictions: bool = False,
    ) -> None:
        self.alphas = alphas
        self.splits = splits
        self.score: Any = score
        self.by_predictions = by_predictions

    def _search(self, problem: Problem, state: RidgeSearchState) -> PassGenerator[RidgeSearchState]:
        for precise in (False, True):
            moments = yield from ask_part_moments(problem, self.splits, precise=precise)
            models, rough = self._models(problem, moments)
            if not rough:
                break
        scores = yield from self._scores(problem, moments, models)
        means = scores.mean(axis=0)
        best = int(np.argmax(means))
        alphas = np.full(problem.packing.n_outputs, self.alphas[best])
        return _solved(
            problem,
            state,
            join(moments, self.splits.all_rows),
            alphas=alphas,
            scores=scores,
            best_scores=np.full(len(alphas), means[best]),
        )

    def _models(self, problem: Problem, moments: list[Moments]) -> tuple[list[_SplitModels], bool]:
        """Return the models of all splits, and whether the moments are not accurate enough."""
        models_of_splits, worst, epsilon = [], 1.0, moments[0].epsilon
        fitted, n = problem.packing.fit_intercept, problem.packing.n_features
        for number, (trained, tested) in enumerate(
            zip(self.splits.train, self.splits.test, strict=True)
        ):
            train_moments, test_moments = join(moments, trained), join(moments, tested)
            check_split(number, train_moments, test_moments, self.score)
            coef, condition = _path(
                train_moments if fitted else about_zero(train_moments), n, self.alphas
            )
            worst = max(worst, condition)
            mean = train_moments.mean if fitted else np.zeros_like(train_moments.mean)
            models_of_splits.append(
                _SplitModels(train_moments, test_moments, coef, mean[n:] - coef @ mean[:n])
            )
        rough = epsilon > np.finfo(float).eps and epsilon * worst > _ROUGH
        return models_of_splits, bool(rough)

    def _scores(
        self, problem: Problem, moments: list[Moments], models: list[_SplitModels]
    ) -> PassGenerator[FloatArray]:
        """Return the scores of all splits and strengths."""
        yield from ()  # the moments give the scores without a pass
        rows, fitted = [], problem.packing.fit_intercept
        for number, split_models in enumerate(models):
            if self.by_predictions:
                rows.append(self.score(number, split_models.coef, split_models.intercept))
                continue
            errors = squared_errors(
                split_models.train, split_models.test, split_models.coef, fit_intercept=fitted
            )
            spread = deviations(split_models.test, problem.packing.n_features)
            rows.append(self.score(errors, split_models.test.weight, spread).mean(axis=1))
        return np.array(rows)


class RidgeClassFolds(RidgeFolds):
    """Choose the strength of a classifier by the accuracy on held-out rows.

    Moments do not show which class a model predicts: a second pass predicts with all models.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths, at least 0.
    splits : Splits
        How the problem's blocks are divided.
    """

    def __init__(self, alphas: FloatArray, splits: Splits) -> None:
        super().__init__(alphas, splits, score=negative_mean_squared_error)

    def _scores(
        self, problem: Problem, moments: list[Moments], models: list[_SplitModels]
    ) -> PassGenerator[FloatArray]:
        packing = problem.packing
        all_rows = join(moments, self.splits.all_rows)
        centre = all_rows.mean[: packing.n_features] if packing.fit_intercept else None
        packed = [
            [
                packing.pack(coef, intercept if centre is None else intercept + coef @ centre)
                for coef, intercept in zip(split_models.coef, split_models.intercept, strict=True)
            ]
            for split_models in models
        ]
        kernel = LabelledKernel(PathKernel(packing, self.splits, centre=centre, gradients=False))
        result = yield Pass(kernel, np.array(packed), f"{problem.name}-scores-pass-{{}}")
        sums: PathSums = result
        return 1.0 - sums.wrong / sums.weight[:, None]


class RidgeLeaveOneOut(_RidgeSearch):
    """Choose the strength by leave-one-out errors.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths, greater than 0.
    score : callable, optional
        A quadratic score of weighted squared errors or, with ``by_rows``, a score of each row's
        errors. None is scikit-learn's default: the unweighted mean over the rows.
    by_rows : bool
        Whether ``score`` takes the errors of each row.
    per_target : bool
        Choose a strength for each target.
    keep_errors : bool
        Keep the error of each row.
    """

    def __init__(
        self,
        alphas: FloatArray,
        *,
        score: QuadraticScore | RowScore | None,
        by_rows: bool = False,
        per_target: bool = False,
        keep_errors: bool = False,
    ) -> None:
        self.alphas = alphas
        self.score: Any = score
        self.by_rows = by_rows
        self.per_target = per_target
        self.keep_errors = keep_errors

    def _search(self, problem: Problem, state: RidgeSearchState) -> PassGenerator[RidgeSearchState]:
        packing, n = problem.packing, problem.packing.n_features
        centred: Moments = yield from problem.ask(
            MomentsKernel(centre=True, precise=True),
            None,
            "moments-pass-{}",
            n_entries=(n + packing.n_outputs) ** 2,
        )
        moments = centred if packing.fit_intercept else about_zero(centred)
        solved = solve_moments(
            _at_strength(problem, self.alphas[:1]), state, moments
        )  # checks the weight
        kernel = LeaveOneOutKernel(self.keep_errors or self.by_rows)
        path = _coordinates(moments, n, self.alphas, fit_intercept=packing.fit_intercept)
        sums: LeaveOneOutSums = yield from problem.ask(kernel, path, "leave-one-out-pass-{}")
        errors = np.concatenate(sums.errors) if sums.errors else None
        if self.by_rows:
            scores = self.score(errors)
        elif self.score is None:
            scores = -sums.squared_errors / centred.n_rows
        else:
            scores = self.score(sums.squared_errors, centred.weight, deviations(centred, n))
        if not self.per_target:
            scores = scores.mean(axis=1, keepdims=True)
        if not np.isfinite(scores).all():
            raise ValueError(
                "Leave-one-out scores are not finite: a row alone determines its own prediction. "
                "Take larger alphas, or folds: cv=5."
            )
        best = np.argmax(scores, axis=0)
        alphas = np.broadcast_to(self.alphas[best], (packing.n_outputs,))
        return _solved(
            problem,
            replace(state, known=solved.known),
            centred,
            alphas=np.array(alphas),
            scores=scores,
            best_scores=scores[best, np.arange(scores.shape[1])],
            errors=errors if self.keep_errors else None,
        )


def _at_strength(problem: Problem, alphas: FloatArray) -> Problem:
    same = len(np.unique(alphas)) == 1
    return replace(problem, penalty=L2(float(alphas[0]) if same else alphas))


def _solved(
    problem: Problem, state: RidgeSearchState, centred: Moments, **chosen: Any
) -> RidgeSearchState:
    """Return the state with the chosen model, solved from the moments of all rows."""
    moments = centred if problem.packing.fit_intercept else about_zero(centred)
    solved = solve_moments(_at_strength(problem, chosen["alphas"]), state, moments)
    return replace(state, **{**vars(solved), **chosen})


def _refine(
    problem: Problem, state: RidgeSearchState, tol: float
) -> PassGenerator[RidgeSearchState]:
    assert state.alphas is not None
    refined = yield from Gram().step(_at_strength(problem, state.alphas), state, tol)
    return replace(state, **vars(refined))


def _path(moments: Moments, n: int, alphas: FloatArray) -> tuple[FloatArray, float]:
    """Return the coefficients for each strength, and the largest condition number."""
    gram, cross = moments.products[:n, :n], moments.products[:n, n:]
    coef, worst = np.empty((len(alphas), cross.shape[1], n)), 1.0
    for number, alpha in enumerate(alphas):
        factor = Factor.of(gram + alpha * np.eye(n))
        coef[number] = factor.solve(cross).T
        worst = max(worst, factor.condition)
    return coef, worst


def _coordinates(moments: Moments, n: int, alphas: FloatArray, *, fit_intercept: bool) -> RidgePath:
    values, vectors = linalg.eigh(moments.products[:n, :n], check_finite=False)
    values = np.maximum(values, 0.0)
    return RidgePath(
        moments.mean[:n],
        moments.mean[n:],
        vectors,
        1.0 / (values + alphas[:, None]),
        vectors.T @ moments.products[:n, n:],
        1.0 / moments.weight if fit_intercept else 0.0,
    )
