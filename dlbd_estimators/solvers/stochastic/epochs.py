"""The loop of mini-batch training: epochs, learning rates, and when to stop.

The rules are scikit-learn's. An epoch is better than those before if its loss is less than the
best by more than ``tol``; with a score on rows held out, if that is more than the best by at
least ``tol``. More than ``patience`` epochs in a row that are not better end training, or, with
the schedule ``"adaptive"``, divide the learning rate by five.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.history import Record, entries
from dlbd_estimators.solvers.status import warn
from dlbd_estimators.solvers.stochastic.one_epoch import Course, Epoch, Training

#: The schedule "adaptive" stops rather than divide a rate that is as small as this.
_SMALLEST_RATE = 1e-6


@dataclass(frozen=True)
class Rules:
    """What rules the epochs.

    Parameters
    ----------
    max_epochs : int
        Stop, with a warning, after so many; ``None`` makes one epoch and asks for no more.
    tol : float
        What counts as better.
    patience : float
        Epochs in a row that may be no better.
    schedule : {"constant", "invscaling", "adaptive"}
        Of the learning rate.
    learning_rate : float
        The first.
    power_t : float
        Of ``"invscaling"``: rate / (rows seen + 1)^power_t.
    verbose : bool
        Print each epoch.
    """

    max_epochs: int | None
    tol: float
    patience: float
    schedule: str
    learning_rate: float
    power_t: float
    verbose: bool = False


@dataclass
class Progress:
    """What the epochs of one model have come to; goes on where training goes on.

    Attributes
    ----------
    losses, scores : list of float
        By epoch; scores only where rows were held out.
    best_loss, best_score : float
        The least, the largest.
    best_parameters : ndarray or None
        Those of the best score.
    n_not_better : int
        Epochs in a row.
    records : list of Record
        One an epoch.
    n_passes : float
        Passes over the features.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_parameters: FloatArray | None = None
    n_not_better: int = 0
    records: list[Record] = field(default_factory=list)
    n_passes: float = 0.0

    @property
    def history(self) -> list[dict[str, float]]:
        """The records as users get them: a dictionary a step."""
        return entries(self.records)

    def copy(self) -> Progress:
        """Return a record that can be added to without changing this one."""
        return replace(
            self,
            losses=list(self.losses),
            scores=list(self.scores),
            records=list(self.records),
        )

    def add_loss(self, loss: float, tol: float) -> None:
        """Judge an epoch by its loss."""
        self.n_not_better = self.n_not_better + 1 if loss > self.best_loss - tol else 0
        self.best_loss = min(loss, self.best_loss)

    def add_score(self, score: float, tol: float, parameters: FloatArray) -> None:
        """Judge an epoch by its score."""
        self.scores.append(score)
        self.n_not_better = self.n_not_better + 1 if score < self.best_score + tol else 0
        if score > self.best_score:
            self.best_score = score
            self.best_parameters = parameters.copy()

    def add_divergence(self, rate: float, seconds: float) -> None:
        """Record an epoch that came to nothing."""
        self.losses.append(np.nan)
        self.scores.append(np.nan)
        self.n_passes += 1.0
        self.records.append(_record(self, Epoch(np.nan, 0, 0, 0), rate, seconds, True))


def train(
    course: Course,
    training: Training,
    progress: Progress,
    rules: Rules,
    *,
    score: Callable[[FloatArray], float] | None,
    score_passes: float,
    clock: Callable[[], float],
    before_step: Callable[[Training], None] | None = None,
    on_step: Callable[[Training, Record], bool] | None = None,
    on_warning: Callable[[str, str], None] | None = None,
) -> tuple[Training, int]:
    """Run epochs until they bring no more.

    Parameters
    ----------
    course : Course
        Runs an epoch.
    training : Training
        Where to begin.
    progress : Progress
        Added to.
    rules : Rules
        When to stop, and the learning rate.
    score : callable or None
        Scores parameters on rows held out.
    score_passes : float
        Passes over the data that a score takes.
    clock : callable
        Seconds since the fit began.
    before_step : callable, optional
        Called before each epoch with where training stands.
    on_step : callable, optional
        Called after each epoch with where training stands and the epoch's record, when
        ``progress`` knows of it; True ends training there.
    on_warning : callable, optional
        Called with why the fit ends and what the user is warned of, before they are.

    Returns
    -------
    Training
        After the last epoch.
    int
        Epochs made.

    Raises
    ------
    Diverged
        The loss became infinite or NaN, before any score that could be kept.

    Warns
    -----
    ConvergenceWarning
        ``max_epochs`` were not enough, and ``on_step`` did not ask for an end; or training diverged
        after an epoch with a score, whose parameters are kept.
    UserWarning
        The user interrupted; the model is that of the last whole epoch.
    """
    n_epochs = 0
    try:
        while True:
            rate = training.learning_rate
            if before_step is not None:
                before_step(training)
            outcome = _epoch(course, training, progress, scored=score is not None)
            if isinstance(outcome, Diverged):
                n_epochs += 1
                progress.add_divergence(rate, clock())
                message = f"{outcome} The model is that of the best validation score."
                warn(on_warning, "diverged", message, ConvergenceWarning)
                break
            trained, epoch = outcome
            scored = None if score is None else score(trained.parameters)
            # From here on the epoch counts: an interruption before leaves no half of it.
            training = trained
            n_epochs += 1
            progress.losses.append(epoch.loss)
            progress.n_passes += 1.0
            if rules.verbose:
                _say(f"Iteration {n_epochs}, loss = {epoch.loss:.8f}")
            _judge(progress, rules, training, scored, score_passes)
            progress.records.append(_record(progress, epoch, rate, clock(), score is not None))
            training = replace(training, learning_rate=_next_rate(training, rules))
            ended = False
            if progress.n_not_better > rules.patience:
                training, ended = _stop_or_slow_down(training, rules, score is not None)
                if not ended:
                    progress.n_not_better = 0
            stopped = on_step is not None and on_step(training, progress.records[-1])
            if ended or stopped or rules.max_epochs is None:
                break
            if n_epochs == rules.max_epochs:
                message = (
                    f"Stochastic Optimizer: Maximum iterations ({rules.max_epochs}) reached and "
                    f"the optimization hasn't converged yet."
                )
                warn(on_warning, "max_iter", message, ConvergenceWarning)
                break
    except KeyboardInterrupt:
        warn(on_warning, "interrupted", "Training interrupted by user.", UserWarning)
    return training, n_epochs


def _epoch(
    course: Course, training: Training, progress: Progress, *, scored: bool
) -> tuple[Training, Epoch] | Diverged:
    """Run an epoch; return its divergence where there is an earlier model to end with."""
    try:
        return course.epoch(training)
    except Diverged as error:
        if not scored or progress.best_parameters is None:
            raise
        return error


def _judge(
    progress: Progress, rules: Rules, training: Training, score: float | None, score_passes: float
) -> None:
    if score is None:
        progress.add_loss(progress.losses[-1], rules.tol)
        return
    progress.add_score(score, rules.tol, training.parameters)
    progress.n_passes += score_passes
    if rules.verbose:
        _say(f"Validation score: {score:f}")


def _next_rate(training: Training, rules: Rules) -> float:
    if rules.schedule == "invscaling":
        return rules.learning_rate / math.pow(training.n_seen + 1, rules.power_t)
    return training.learning_rate


def _stop_or_slow_down(training: Training, rules: Rules, scored: bool) -> tuple[Training, bool]:
    what = "Validation score" if scored else "Training loss"
    said = f"{what} did not improve more than tol={rules.tol:f} for {rules.patience} epochs."
    if rules.schedule == "adaptive" and training.learning_rate > _SMALLEST_RATE:
        slower = replace(training, learning_rate=training.learning_rate / 5.0)
        if rules.verbose:
            _say(f"{said} Setting learning rate to {slower.learning_rate:f}")
        return slower, False
    if rules.verbose:
        _say(f"{said} Stopping.")
    return training, True


def _record(progress: Progress, epoch: Epoch, rate: float, seconds: float, scored: bool) -> Record:
    read = progress.records[-1].bytes_read if progress.records else 0
    return Record(
        iteration=len(progress.losses),
        n_passes=progress.n_passes,
        loss=epoch.loss,
        learning_rate=rate,
        rounds=epoch.n_rounds,
        seconds=seconds,
        bytes_read=read + epoch.bytes_read,
        validation_score=progress.scores[-1] if scored else None,
    )


def _say(text: Any) -> None:
    print(text, flush=True)  # noqa: T201 - verbose=True asks for it
