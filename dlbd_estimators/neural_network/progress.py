"""The fitted attributes that describe the training of a network by mini-batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.neural_network.job import Job
from dlbd_estimators.neural_network.private_training import private_attributes
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.epochs import Training
from dlbd_estimators.solvers.stochastic.private_epoch import PrivateEpochs


def progress_attributes(
    estimator: Any, job: Job, problem: Training, state: EpochState, history: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the attributes that describe a training until a state.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.
    job : Job
        The call of ``fit`` or ``partial_fit``.
    problem : Training
        What is trained.
    state : EpochState
        State after an epoch.
    history : list of dict
        Entries of ``history_`` until this state.
    """
    scored = problem.score is not None
    attributes = {
        "n_iter_": state.n_iter,
        "t_": state.n_seen,
        "loss_": np.float64(state.losses[-1] if state.losses else np.inf),
        "loss_curve_": list(state.losses),
        "best_loss_": None if estimator.early_stopping else np.float64(state.best_loss),
        "validation_scores_": list(state.scores) if scored else None,
        "best_validation_score_": state.best_score if scored else None,
        "n_passes_": state.n_passes,
        "history_": history,
        "_training": state.kept(),
        "n_replicas_": len(state.replicas),
    }
    if isinstance(problem.scheme, PrivateEpochs):
        attributes |= private_attributes(estimator, job, problem.scheme, state, history)
    return attributes
