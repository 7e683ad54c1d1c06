"""Find the classes of a classifier, and the factor of each class for the weights of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.labels import LabelCounts, LabelKernel
from dlbd_estimators.solvers import check_weight


def count_labels(
    estimator: Any, executor: Executor, blocks: Blocks, name: str, *, fewest: int = 2
) -> LabelCounts:
    """Find the classes in a pass over the labels alone.

    Parameters
    ----------
    estimator : estimator
        The classifier; error messages contain the name of its class.
    executor : Executor
        Runs the pass.
    blocks : Blocks
        The data.
    name : str
        First part of the task names on Dask's dashboard.
    fewest : int
        The smallest number of classes with a weight above 0 that is accepted.

    Raises
    ------
    ValueError
        The labels are continuous, there are too few classes, or all weights are zero.
    """
    counts: LabelCounts = executor.map_reduce(
        LabelKernel(),
        None,
        blocks.encoded(Encoding(raw=True)),
        name=f"{name}-classes",
        features=False,
    ).partial
    check_weight(float(counts.weights.sum()), counts.n_rows)
    if counts.labels.dtype.kind not in "biu":  # integers are never continuous
        # Repeat each label: if all differ, scikit-learn warns that y may be for a regression.
        check_classification_targets(np.repeat(counts.labels, 2))
    present = counts.labels[counts.weights > 0]
    if len(present) < fewest:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes with a weight "
            f"above 0, but the data contain only one class: {plain(present[0])!r}."
        )
    return counts


def plain(label: Any) -> Any:
    """Return a label as a Python object instead of a NumPy scalar, for messages."""
    return label.item() if isinstance(label, np.generic) else label


def class_factors(estimator: Any, counts: LabelCounts) -> FloatArray | None:
    """Return one factor per class from the parameter ``class_weight``; None if that is None.

    Raises
    ------
    ValueError
        ``class_weight`` is not a dict of finite factors of at least 0, ``"balanced"`` or None.
    """
    class_weight = estimator.class_weight
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        # A class whose total weight is 0 gets the factor 0, not infinity.
        present = counts.weights > 0
        balanced = counts.weights.sum() / (
            len(counts.labels) * np.where(present, counts.weights, 1)
        )
        return np.asarray(np.where(present, balanced, 0.0))
    if not isinstance(class_weight, dict):
        raise ValueError(
            f"The 'class_weight' parameter of {type(estimator).__name__} must be a dict, "
            f"'balanced' or None, but is {class_weight!r}."
        )
    labels = counts.labels
    factors = np.asarray(compute_class_weight(class_weight, classes=labels, y=labels), dtype=float)
    if not (np.isfinite(factors).all() and (factors >= 0).all() and (factors > 0).any()):
        raise ValueError(
            f"The 'class_weight' parameter of {type(estimator).__name__} must hold finite "
            f"factors of at least 0, not all 0, but is {class_weight!r}."
        )
    return factors
