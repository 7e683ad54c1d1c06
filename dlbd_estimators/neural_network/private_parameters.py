"""The parameters of private training: which of the others it refuses, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.class_weights import class_factors
from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.base.privacy import DifferentialPrivacy
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.kernels.labels import LabelCounts
from dlbd_estimators.neural_network.targets import TargetSpec, target_spec_of_classes


def check_privacy(estimator: Any) -> None:
    """Check ``privacy``, and refuse parameters that would look at rows without noise.

    Raises
    ------
    ValueError
        Another parameter does not fit private training; the message gives the reason.
    InvalidParameter
        ``privacy`` is not a DifferentialPrivacy.
    """
    privacy = estimator.privacy
    if privacy is None:
        return
    if not isinstance(privacy, DifferentialPrivacy):
        raise invalid_parameter(estimator, "privacy", "a DifferentialPrivacy", "None")
    weight = getattr(estimator, "class_weight", None)
    refused = {
        "solver": (estimator.solver == "lbfgs", "its line search needs the exact loss"),
        "early_stopping": (estimator.early_stopping, "scores of held-out rows have no noise"),
        "warm_start": (
            estimator.warm_start,
            "each fit spends the whole budget; continue by partial_fit, which counts all calls",
        ),
        "checkpoint": (
            estimator.checkpoint is not None,
            "the noise of an interrupted step must not be drawn again for the same step",
        ),
        "learning_rate": (estimator.learning_rate == "adaptive", "it needs the exact loss"),
        "n_replicas": (
            estimator.n_replicas not in ("auto", 1),
            "noise is added once to the gradient of each batch",
        ),
        "shuffle": (not estimator.shuffle, "the privacy of sampling needs random batches"),
        "dropout": (np.any(np.asarray(estimator.dropout) != 0), "it is not implemented"),
        "clip_norm": (
            estimator.clip_norm is not None,
            "max_gradient_norm of DifferentialPrivacy already clips the gradient of each row",
        ),
        "class_weight": (
            isinstance(weight, str),
            "it counts the labels without noise; pass a dict of factors that are public",
        ),
    }
    for name, (is_refused, reason) in refused.items():
        if is_refused:
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} cannot be combined with privacy: {reason}."
            )


def declared_class_targets(estimator: Any, known: Any) -> TargetSpec:
    """Return the properties of a network for the classes that the user has declared.

    Parameters
    ----------
    estimator : estimator
        A classifier with ``privacy``.
    known : ndarray of shape (n_classes,) or None
        Classes of an earlier call of ``partial_fit``, or passed to this one.

    Raises
    ------
    ValueError
        No classes are declared, or those of ``privacy`` differ from ``known``.
    """
    declared = estimator.privacy.classes
    if declared is None and known is None:
        raise ValueError(
            "Private training needs all class labels in advance, because the labels that occur are "
            "a fact about the rows. Pass DifferentialPrivacy(classes=[...])."
        )
    labels = np.asarray(declared if known is None else known)
    if declared is not None and not np.array_equal(labels, np.asarray(declared)):
        raise ValueError(
            f"The classes are {labels}, but DifferentialPrivacy declares {list(declared)}. Pass "
            f"the same in both."
        )
    ones = LabelCounts(labels, np.ones(len(labels), np.int64), np.ones(len(labels)), len(labels))
    return target_spec_of_classes(Encoding(labels, class_factors(estimator, ones)))
