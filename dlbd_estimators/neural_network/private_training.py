"""Private training of a network: its noise, its steps, and the budget that it spends."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.privacy import DifferentialPrivacy, PrivacySpent
from dlbd_estimators.base.privacy_accountant import (
    Release,
    check_budget,
    noise_multiplier,
    spent_epsilon,
    with_release,
)
from dlbd_estimators.kernels.gaussian_noise import secret_seed
from dlbd_estimators.neural_network.job import Job
from dlbd_estimators.neural_network.parameters import batch_size
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.epochs import Training
from dlbd_estimators.solvers.stochastic.private_epoch import NoisySteps, PrivateEpochs

#: Default memory for the rows that one pass draws.
_BUFFER_NBYTES = 2**28


def private_problem(estimator: Any, job: Job, name: str) -> Training:
    """Return the training rows and how to train on them privately.

    Parameters
    ----------
    estimator : estimator
        Its parameters are used, and what earlier calls of ``partial_fit`` have spent.
    job : Job
        The data of one call of ``fit`` or ``partial_fit``.
    name : str
        Name of the passes on the dashboard.

    Raises
    ------
    ImportError
        dp-accounting is not installed.
    PrivacyBudgetSpent
        ``partial_fit`` would spend more than the budget.
    ValueError
        The model was trained before, without privacy, or classes are declared but not used.

    Warns
    -----
    UserWarning
        The seed is fixed, or the declared number of rows is far from the true one.
    """
    privacy: DifferentialPrivacy = estimator.privacy
    privacy.warn_of_seed()
    assert job.settings.update is not None
    assert job.blocks.sizes is not None
    privacy.warn_of_size(
        sum(job.blocks.sizes), "each sum over a batch is divided by batch_size, not by its rows"
    )
    if privacy.classes is not None and job.targets.encoding.classes is None:
        raise ValueError(
            f"DifferentialPrivacy(classes={list(privacy.classes)}) is for classifiers with one "
            f"label per row. Leave classes out for {type(estimator).__name__} with this y."
        )
    size = batch_size(estimator, privacy.n_samples)
    rate = size / privacy.n_samples
    n_steps = max(1, round(privacy.n_samples / size))
    planned = n_steps * int(estimator.max_iter)
    noise = noise_multiplier(privacy.epsilon, privacy.delta, rate, planned)
    if job.incremental:
        call = Release(noise, rate, n_steps)
        releases = with_release(earlier_releases(estimator, job), call)
        check_budget(releases, privacy.epsilon, privacy.delta, n_calls=estimator.max_iter)
    # It follows from what is declared: the number of passes must not depend on the rows.
    width = job.blocks.n_features + job.targets.n_outputs + 1
    buffer = job.settings.buffer_nbytes or _BUFFER_NBYTES
    steps = NoisySteps(
        gradient_bound=float(privacy.max_gradient_norm),
        noise_multiplier=noise,
        sampling_rate=rate,
        batch_size=size,
        n_steps=n_steps,
        steps_in_buffer=max(1, buffer // (8 * width * size)),
        noise_seed=secret_seed(privacy.seed, 0),
        sampling_seed=secret_seed(privacy.seed, 1),
    )
    scheme = PrivateEpochs(
        job.network,
        job.settings.update,
        float(estimator.decoupled_weight_decay),
        steps,
        1 if job.incremental else int(estimator.max_iter),
        name,
    )
    return Training(job.blocks, scheme)


def private_attributes(
    estimator: Any,
    job: Job,
    scheme: PrivateEpochs,
    state: EpochState,
    history: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the attributes of a private training that replace those of other trainings.

    Parameters
    ----------
    estimator : estimator
        Its ``privacy`` is used, and what earlier calls of ``partial_fit`` have spent.
    job : Job
        The call of ``fit`` or ``partial_fit``.
    scheme : PrivateEpochs
        The training.
    state : EpochState
        State after an epoch.
    history : list of dict
        Entries of ``history_`` until this state.
    """
    privacy: DifferentialPrivacy = estimator.privacy
    steps = scheme.steps
    last = Release(steps.noise_multiplier, steps.sampling_rate, steps.n_steps * state.n_iter)
    releases = with_release(earlier_releases(estimator, job), last)
    epsilon = spent_epsilon(releases, privacy.delta, privacy.epsilon)
    return {
        "privacy_spent_": PrivacySpent(epsilon=epsilon, delta=privacy.delta, releases=releases),
        "loss_": None,
        "best_loss_": None,
        # The time that an epoch takes depends on the number of rows.
        "history_": [
            {key: value for key, value in entry.items() if key != "seconds"} for entry in history
        ],
    }


def earlier_releases(estimator: Any, job: Job) -> tuple[Release, ...]:
    """Return the releases of earlier calls of ``partial_fit``.

    Raises
    ------
    ValueError
        The model was trained before, without privacy.
    """
    if job.fresh:
        return ()
    spent: PrivacySpent | None = getattr(estimator, "privacy_spent_", None)
    if spent is None:
        raise ValueError(
            "This model was trained without privacy, and its parameters reveal its rows, whatever "
            "noise is added from now on. Fit a new model with privacy."
        )
    return spent.releases
