"""The training of a network as a problem: its rows, the scheme of an epoch, and the validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.engine.blas import thread_count
from dlbd_estimators.kernels.dropout import Dropout
from dlbd_estimators.kernels.learner import Learner
from dlbd_estimators.neural_network.job import Job
from dlbd_estimators.neural_network.parameters import batch_size
from dlbd_estimators.neural_network.private_training import private_problem
from dlbd_estimators.neural_network.replicas import count_replicas, epoch_layout
from dlbd_estimators.neural_network.training_rows import (
    Holdout,
    hold_out_of_blocks,
    hold_out_rows,
    rows_in_memory,
)
from dlbd_estimators.neural_network.validation import given_rows_score
from dlbd_estimators.solvers.random_states import freeze
from dlbd_estimators.solvers.stochastic.epochs import Training
from dlbd_estimators.solvers.stochastic.one_epoch import InMemory, InRounds


def training_problem(estimator: Any, job: Job, name: str) -> Training:
    """Return the training rows, how to train on them, and the score on validation rows.

    Parameters
    ----------
    estimator : estimator
        Its parameters are used.
    job : Job
        The data of one call of ``fit`` or ``partial_fit``.
    name : str
        Name of the passes on the dashboard.

    Raises
    ------
    ValueError
        Rows cannot be held out, the buffer or the number of replicas does not fit the data, or
        private training is impossible or would spend too much.
    """
    if estimator.privacy is not None:
        return private_problem(estimator, job, name)
    vars(estimator).pop("privacy_spent_", None)  # of earlier calls: from now on, it is not private
    blocks, score, holdout = job.blocks, None, None
    n_replicas = count_replicas(estimator, blocks)
    if job.validation is not None:
        score = given_rows_score(job.validation, job.targets.errors, job.network, name)
    elif estimator.early_stopping:
        holdout = Holdout(
            estimator.validation_fraction, job.targets.errors, job.targets.encoding.classes
        )
    if blocks.in_memory and n_replicas == 1:
        rows = rows_in_memory(blocks)
        if holdout is not None:
            rows, score = hold_out_rows(rows, holdout, job.network, job.random_state, name)
        scheme = InMemory(
            _learner(estimator, job, rows.n_rows),
            rows,
            freeze(job.random_state) if estimator.shuffle else None,
            thread_count(),
            name,
        )
        return Training(blocks, scheme, score)
    seed = int(job.random_state.randint(np.iinfo(np.int32).max))
    if holdout is not None:
        blocks, score = hold_out_of_blocks(job.executor, blocks, holdout, job.network, seed, name)
    assert blocks.sizes is not None
    learner = _learner(estimator, job, sum(blocks.sizes))
    layout = epoch_layout(
        estimator, job.executor, blocks, n_replicas, job.settings.buffer_nbytes, learner.batch_size
    )
    shuffle = bool(estimator.shuffle)
    in_rounds = InRounds(learner, blocks, layout, job.settings.outer, seed, shuffle, name)
    return Training(blocks, in_rounds, score)


def _learner(estimator: Any, job: Job, n_rows: int) -> Learner:
    assert job.settings.update is not None
    dropout = None
    if job.settings.dropout:
        seed = int(job.random_state.randint(np.iinfo(np.int32).max))
        dropout = Dropout(job.settings.dropout, seed)
    return Learner(
        job.network,
        job.settings.update,
        batch_size(estimator, n_rows),
        float(estimator.decoupled_weight_decay),
        None if estimator.clip_norm is None else float(estimator.clip_norm),
        dropout,
    )
