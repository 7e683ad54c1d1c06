"""Private training of a logistic regression, by noisy gradient descent on all rows.

The alternative, objective perturbation, adds noise to the objective and minimises it (Chaudhuri,
Monteleoni and Sarwate, JMLR 12, 2011). Its proof needs the exact minimiser, bounded rows, and a
loss for each number of classes. Here each step is private by itself: the fit may be stopped after
any step, rounding in the solver is harmless, and the same proof holds for any number of classes.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from dlbd_estimators.base.callbacks import FitTask
from dlbd_estimators.base.class_weights import class_factors
from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.base.privacy import DifferentialPrivacy, PrivacySpent
from dlbd_estimators.base.privacy_accountant import Release, noise_multiplier, spent_epsilon
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.gaussian_noise import secret_seed
from dlbd_estimators.kernels.labels import LabelCounts
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.logistic_parameters import Penalty
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.solvers import Problem, Solution
from dlbd_estimators.solvers.smooth.noisy_gradient import NoisyGradientDescent

_SOLVERS = ("auto", "gradient_descent")


def check_privacy(estimator: Any, penalty: Penalty) -> None:
    """Check ``privacy``, and refuse parameters that would look at rows without noise.

    Raises
    ------
    ValueError
        Another parameter does not fit private training; the message gives the reason.
    InvalidParameter
        ``privacy`` is not a DifferentialPrivacy.
    """
    if not isinstance(estimator.privacy, DifferentialPrivacy):
        raise invalid_parameter(estimator, "privacy", "a DifferentialPrivacy", "None")
    refused = {
        "l1_ratio": (penalty.l1_ratio > 0, "noisy gradients need a smooth penalty"),
        "solver": (
            estimator.solver not in _SOLVERS,
            "only noisy gradient descent is private; leave solver='auto'",
        ),
        "max_iter": (estimator.max_iter == 0, "a private fit makes at least one step"),
        "warm_start": (estimator.warm_start, "each fit spends the whole budget"),
        "checkpoint": (
            estimator.checkpoint is not None,
            "the noise of an interrupted step must not be drawn again for the same step",
        ),
        "class_weight": (
            isinstance(estimator.class_weight, str),
            "it counts the labels without noise; pass a dict of factors that are public",
        ),
        "store_covariance": (estimator.store_covariance, "the sums that it keeps have no noise"),
    }
    for name, (is_refused, reason) in refused.items():
        if is_refused:
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} cannot be combined with privacy: {reason}."
            )
    if estimator.privacy.classes is None:
        raise ValueError(
            "Private training needs all class labels in advance, because the labels that occur are "
            "a fact about the rows. Pass DifferentialPrivacy(classes=[...])."
        )


def fit_privately(
    estimator: Any, X: Any, y: Any, sample_weight: Any, penalty: Penalty, task: FitTask
) -> None:
    """Fit a logistic regression by ``max_iter`` noisy steps, and set its attributes.

    Parameters
    ----------
    estimator : LogisticRegression
        The estimator, with checked parameters.
    X, y, sample_weight
        The data, as passed to ``fit``.
    penalty : Penalty
        The penalty.
    task : FitTask
        Receives each step, and may end the fit.

    Raises
    ------
    ImportError
        dp-accounting is not installed.

    Warns
    -----
    UserWarning
        The seed is fixed, or the declared number of rows is far from the true one.
    """
    privacy: DifferentialPrivacy = estimator.privacy
    privacy.warn_of_seed()
    n_steps = int(estimator.max_iter)
    noise = noise_multiplier(privacy.epsilon, privacy.delta, 1.0, n_steps)
    data = training_data(estimator, X, y, sample_weight, classify=True)
    if data.blocks.sizes is not None:
        privacy.warn_of_size(
            sum(data.blocks.sizes), "each sum over all rows is divided by n_samples"
        )
    classes = np.asarray(privacy.classes)
    binary = len(classes) == 2
    n_features = data.blocks.n_features
    packing = Packing(1 if binary else len(classes), n_features, bool(estimator.fit_intercept))
    ones = np.ones(len(classes))
    counts = LabelCounts(classes, ones.astype(np.int64), ones, len(classes))
    blocks = data.blocks.encoded(Encoding(classes, class_factors(estimator, counts)))
    gradient_bound = float(privacy.max_gradient_norm)
    solver = NoisyGradientDescent(
        # The error of a row is at most 1 for two classes. For more, its norm is at most sqrt(2).
        gradient_bound if binary else gradient_bound / sqrt(2),
        gradient_bound,
        noise,
        privacy.n_samples,
        n_steps,
        secret_seed(privacy.seed, 0),
    )

    def model(solution: Solution) -> dict[str, Any]:
        coef, intercept = packing.unpack(solution.parameters)
        releases = (Release(noise, 1.0, solution.n_iter),)
        epsilon = spent_epsilon(releases, privacy.delta, privacy.epsilon)
        return {
            "classes_": classes,
            "coef_": coef,
            "intercept_": intercept,
            "n_iter_": np.array([solution.n_iter], dtype=np.int32),
            "privacy_spent_": PrivacySpent(epsilon=epsilon, delta=privacy.delta, releases=releases),
            # The time that a step takes depends on the number of rows.
            "history_": [
                {key: value for key, value in entry.items() if key != "seconds"}
                for entry in solution.history
            ],
        }

    with executor_for(blocks) as executor:
        problem = Problem(
            blocks,
            HalfBinomialLoss() if binary else HalfMultinomialLoss(),
            L2(1.0 / penalty.C),
            packing,
            name="logistic",
        )
        search(estimator, executor, problem, solver, task=task, model=model, advice="")
