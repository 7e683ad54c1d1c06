"""Logistic regression whose L2 penalty is chosen by cross-validation, in a few sweeps.

Each strength on each split is a separate problem, for which a Hessian would be expensive. A sweep
computes the gradients of all models by two matrix products, and their scores on the held-out rows
(:mod:`dlbd_estimators.kernels.paths`). The curvature comes from a sample of rows in this process,
which the first sweep draws by importance: the root of curvature times leverage. A step minimises
the objective of this sample, with a linear tilt that makes its gradient equal to that of all rows
(:mod:`dlbd_estimators.solvers.path_newton`). About a tenth of the previous error remains, or less.

The search starts from a sample of the blocks. It ends when no coefficient of a scored model is
wrong by more than a thousandth of the largest. Scores have far smaller errors: near the border
between two classes, about as many rows become right as wrong. In the last sweep, Newton's method
also fits all rows, at the strength with the best score until then. It starts from the minimum for
the sample with the mean tilt of the splits, and the rows of the sample correct its steps. Sweeps
compute in float32 as long as this makes no step longer. If this process can hold all rows, one pass
reads them and the search needs no further pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from dlbd_estimators.engine.passes import Pass
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.paths import PathKernel, PathSums
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.kernels.row_sample import DrawnRows, RowSampleKernel, SamplingRates
from dlbd_estimators.kernels.sweep import SweepKernel
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.path_newton import lengths, minimise, overshoots
from dlbd_estimators.solvers.path_rows import PathRows, Tilted
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.important_rows import underflows_float32, usable_rows
from dlbd_estimators.solvers.smooth.logistic_search_state import LogisticSearchState
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.path_sample import (
    coefs,
    columns_of,
    first_sample,
    importance_rates,
    kept_rows,
    most_rows,
    packed_scale,
    penalties,
)
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.vanished_curvature import curvature_vanished

#: Remaining error of a model, relative to its first step: on a sample of the rows, and on all rows.
#: Scores of neighbouring strengths differ little: larger errors change which of them is the best.
_ENOUGH, _EXACT = 1e-4, 1e-12
#: A sweep that leaves a larger share of the error before it is followed by sweeps in float64.
_SLOW = 1 / 3
#: Newton's method begins if the error is below this multiple of the accuracy: the next sweep is
#: probably the last, and the best strength will probably remain the best.
_NEARLY = 30
#: Largest number of values of C that a message names.
_MOST_NAMED = 10
#: Fields of Newton's state at a strength that it has not tried yet.
_UNTRIED: dict[str, Any] = {
    "base": None, "base_value": np.inf, "slope": 0.0, "tried_step": 1.0, "rank": 0, "best": np.inf,
    "since_best": 0, "hessian_dtype": "float32", "error": np.inf, "given": True, "dependent": (),
    "status": None,
}  # fmt: skip

#: A function that returns the scores of models (n_splits, n_models, size) for original features.
ModelScores = Callable[[FloatArray], FloatArray]


class LogisticSearch(Minimizer[LogisticSearchState]):
    """Choose the strength of an L2 penalty by the splits of a cross-validation.

    Parameters
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths.
    splits : Splits
        How the blocks are divided.
    factors : ndarray of shape (n_classes,) or None
        Class weights, above 0: factors on the sample weights of each class.
    totals : sequence of float
        Sum of the training weights of each split.
    score : "accuracy", "neg_log_loss" or callable
        The score to maximise.
    refit : bool
        Whether the chosen model is fitted to all rows.
    accuracy : float
        Largest error of a coefficient of a scored model, relative to the largest coefficient.
    widths : ndarray of shape (n_splits, n_features), optional
        Each split divides the columns by these before the penalty applies; only without a refit.
    """

    name: ClassVar[str] = "newton"
    state: ClassVar[type[State]] = LogisticSearchState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "smooth"})

    def __init__(
        self,
        Cs: FloatArray,
        splits: Splits,
        factors: FloatArray | None,
        totals: list[float],
        *,
        score: str | ModelScores,
        refit: bool,
        accuracy: float = 1e-3,
        widths: FloatArray | None = None,
    ) -> None:
        self.Cs, self.splits, self.factors = Cs, splits, factors
        self.totals = np.asarray(totals)
        self.score, self.refit = score, refit
        self.accuracy, self.widths = accuracy, widths

    def init(
        self, problem: Problem, start: FloatArray | None
    ) -> PassGenerator[LogisticSearchState]:
        packing, n_rows = problem.packing, float(problem.n_rows or np.inf)
        most = most_rows(packing)
        complete = n_rows <= most
        indices = None if complete else first_sample(problem)
        share = 1.0 if indices is None else problem.share(indices)
        n_classes = max(packing.n_outputs, 2)
        rates = SamplingRates(np.full(n_classes, np.inf if complete else most / (n_rows * share)))
        kernel = RowSampleKernel(packing, self.splits.n_parts)
        drawn: DrawnRows = yield from problem.ask(kernel, rates, "sample", indices)
        mean, variance = columns_of(drawn)
        centre = mean if packing.fit_intercept else np.zeros_like(mean)
        scale = np.sqrt(np.where(variance > 0, variance, 1.0))
        rows = PathRows.of(drawn, centre, scale)
        models = np.zeros((len(self.splits.train), len(self.Cs), packing.size))
        state = LogisticSearchState(
            np.zeros(packing.size),
            known=replace(problem.known, centre=centre),
            columns=Columns(mean - centre, variance),
            models=models,
            scale=scale,
            rows=rows,
            complete=complete,
            dtype="float64" if underflows_float32(Columns(mean, variance)) else "float32",
        )
        tilted = Tilted.of(rows, packing, self.splits)
        penalty = self._penalty(packing, scale)
        enough = _EXACT if complete else _ENOUGH
        found = minimise(tilted, models, np.zeros_like(models), penalty, enough)
        return replace(state, models=found.models, unconverged=~found.converged)

    def step(
        self, problem: Problem, state: LogisticSearchState, tol: float
    ) -> PassGenerator[LogisticSearchState]:
        if state.chosen is None:
            return self._sweep(problem, state, tol)
        return self._newton(problem, state, tol, state.chosen)

    def _newton(
        self, problem: Problem, state: LogisticSearchState, tol: float, index: int
    ) -> PassGenerator[LogisticSearchState]:
        """Make a step of Newton's method on all rows at one strength."""
        at_strength = replace(problem, penalty=L2(1.0 / float(self.Cs[index])))
        if state.drawn and state.rows is not None and state.scale is not None:
            kept = usable_rows(problem, kept_rows(state.rows, state.scale))
            state = replace(state, kept=kept)
        found = yield from Newton().step(at_strength, state, tol)
        assert isinstance(found, LogisticSearchState)
        # No rule to keep rows: this process already holds as many rows for the search.
        return replace(found, rule=None, kept=None)

    def _sweep(
        self, problem: Problem, state: LogisticSearchState, tol: float
    ) -> PassGenerator[LogisticSearchState]:
        """Evaluate all models in one sweep, and make a step with each of them."""
        packing, models, scale, rows = problem.packing, state.models, state.scale, state.rows
        assert models is not None
        assert scale is not None
        assert rows is not None
        tilted = Tilted.of(rows, packing, self.splits)
        if state.complete:
            sums = PathKernel(packing, self.splits, self.factors)(rows.block(), models)
            state = self._with_unbounded(state, tilted)
            return self._scored(problem, state, sums, models, np.zeros_like(models), 0.0)
        units = packed_scale(packing, scale)
        centre, dtype = problem.known.subtracted, state.dtype
        kernel: Any = PathKernel(packing, self.splits, self.factors, centre, dtype=dtype)
        point: Any = models / units
        if state.drawn:
            sums, state = yield from self._sweep_with_newton(problem, state, tol, kernel, point)
        else:
            order = np.argsort(self.Cs, kind="stable")
            middle = models[:, order[len(order) // 2]].mean(axis=0)
            rates = importance_rates(problem, rows, middle, scale)
            kernel = SweepKernel((kernel, RowSampleKernel(packing, self.splits.n_parts)))
            sums, drawn = yield Pass(kernel, (point, rates), f"{problem.name}-sweep-{{}}")
            rows = PathRows.of(drawn, problem.centre, scale)
            tilted = Tilted.of(rows, packing, self.splits)
        assert sums.gradient is not None
        gradient = sums.gradient / units / self.totals[:, None, None]
        penalty = self._penalty(packing, scale)
        slopes = gradient + penalty * models
        overshot = np.zeros(models.shape[:2], dtype=bool)
        if state.before is not None and state.slope_before is not None:
            overshot = overshoots(state.before, slopes, state.slope_before)
        of_sample = tilted.gradient(models)
        tilt = gradient - of_sample
        step = minimise(tilted, models, tilt, penalty, _ENOUGH, of_sample).models - models
        if state.before is not None:  # where the last step was too long, go back half of it
            step[overshot] = -state.before[overshot] / 2.0
        length = lengths(coefs(packing, step), coefs(packing, models + step))
        errors = np.where(overshot, np.inf, length)
        error = float(errors.max())
        if error > _SLOW * state.scored_error:
            dtype = "float64"  # rounding may have made the step too long
        initial_slopes = np.abs((step * slopes).sum(axis=-1))
        state = replace(
            state, before=step, slope_before=initial_slopes, rows=rows, drawn=True, dtype=dtype,
            unconverged=errors > self.accuracy,
        )  # fmt: skip
        if error <= self.accuracy:
            state = self._with_unbounded(state, tilted)
        return self._scored(problem, state, sums, models + step, tilt, error)

    def _sweep_with_newton(
        self, problem: Problem, state: LogisticSearchState, tol: float, kernel: Any, point: Any
    ) -> PassGenerator[tuple[PathSums, LogisticSearchState]]:
        """Request a sweep that also serves Newton's method; return the sums and the new state."""
        if not self.refit or state.newton_at is None:
            sums = yield from problem.ask(kernel, point, "sweep-{}")
            return sums, state
        newton = self._newton(problem, state, tol, state.newton_at)
        requested = next(newton)
        assert isinstance(requested, Pass)
        both = SweepKernel((kernel, requested.kernel))
        points, name = (point, requested.parameters), f"{problem.name}-sweep-{{}}"
        sums, result = yield Pass(both, points, name, requested.indices, requested.n_entries)
        while True:  # Newton's step may request more passes
            try:
                requested = newton.send(result)
            except StopIteration as end:
                return sums, end.value
            result = yield requested

    def _scored(
        self,
        problem: Problem,
        state: LogisticSearchState,
        sums: PathSums,
        models: FloatArray,
        tilt: FloatArray,
        error: float,
    ) -> LogisticSearchState:
        """Score the models that a sweep has evaluated; choose one if they are accurate enough."""
        packing, scale, evaluated = problem.packing, state.scale, state.models
        assert scale is not None
        assert evaluated is not None
        done, units = error <= self.accuracy, packed_scale(packing, scale)
        losses = sums.losses / sums.weight[:, None]
        if self.score == "accuracy":
            scores: FloatArray = 1.0 - sums.wrong / sums.weight[:, None]
        elif callable(self.score) and done:
            scores = self.score(self.original(problem, evaluated / units))
        else:
            scores = -losses
        best = int(np.argmax(scores.sum(axis=0)))
        state = replace(
            state,
            value=float(losses[:, best].mean()),
            models=models,
            scores=scores,
            scored_error=error,
            chosen=best if done else None,
            sweeps=state.sweeps + 1,
            status=state.status if done else None,  # Newton's status is that of one model only
            shortened=False,
        )
        if done and not self.refit:
            each = np.argmax(scores, axis=1)
            mean = models[np.arange(len(each)), each].mean(axis=0)
            return replace(state, parameters=mean / units, averaged=True)
        if state.newton_at is None:  # the model, if the search ends here
            state = replace(state, parameters=models[:, best].mean(axis=0) / units)
        if state.newton_at == best or not self.refit or error > _NEARLY * self.accuracy:
            return state
        start = self._start(problem, state, tilt[:, best], best)
        return replace(state, **_UNTRIED, parameters=start / units, newton_at=best)

    def _start(
        self, problem: Problem, state: LogisticSearchState, tilt: FloatArray, best: int
    ) -> FloatArray:
        """Return an approximate model of all rows, from the sample and the splits' mean tilt."""
        assert state.models is not None
        assert state.rows is not None
        assert state.scale is not None
        packing, all_rows = problem.packing, self.splits.all_rows
        tilted = Tilted.of(state.rows, packing, Splits((all_rows,), ((),), all_rows))
        total = np.array([problem.total_weight])
        penalty = penalties(packing, state.scale, self.Cs[best : best + 1], total)
        enough = _EXACT if state.complete else _ENOUGH
        initial, mean_tilt = (
            each.mean(axis=0)[None, None] for each in (state.models[:, best], tilt)
        )
        # Gradients in float32 leave a small shift, which no step of Newton's method removes.
        model = minimise(tilted, initial, mean_tilt, penalty, enough).models[0, 0]
        return problem.without_shift(model)

    def _with_unbounded(self, state: LogisticSearchState, tilted: Tilted) -> LogisticSearchState:
        """Count models whose coefficients grow without end among those that did not converge."""
        assert state.models is not None
        assert state.scale is not None
        assert state.unconverged is not None
        penalty = self._penalty(tilted.packing, state.scale)
        unbounded = curvature_vanished(tilted, state.models, penalty)
        return replace(state, unconverged=state.unconverged | unbounded)

    def original(self, problem: Problem, models: FloatArray) -> FloatArray:
        """Return models for the original features, from models for centred features."""
        flat = models.reshape(-1, models.shape[-1])
        return np.array([problem.original(each) for each in flat]).reshape(models.shape)

    def message(
        self, problem: Problem, state: LogisticSearchState, status: Status, **facts: Any
    ) -> str:
        text, values = super().message(problem, state, status, **facts), ""
        if status is Status.MAX_ITER and state.chosen is None:
            values = self.unconverged_values(state)
        return f"{text} Models did not converge for C={values}." if values else text

    def unconverged_values(self, state: LogisticSearchState) -> str:
        """Return the values of C at which a model has not converged, as text."""
        if state.unconverged is None:
            return ""
        values = np.unique(self.Cs[state.unconverged.any(axis=0)])
        more = f" and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
        return ", ".join(f"{C:g}" for C in values[-_MOST_NAMED:]) + more

    def paths(self, problem: Problem, state: LogisticSearchState) -> FloatArray:
        """Return the models of all splits and strengths (n_splits, n_Cs, size)."""
        assert state.models is not None
        assert state.scale is not None
        problem = problem.with_known(state.known)
        return self.original(problem, state.models / packed_scale(problem.packing, state.scale))

    def _penalty(self, packing: Packing, scale: FloatArray) -> FloatArray:
        return penalties(packing, scale, self.Cs, self.totals, self.widths)
