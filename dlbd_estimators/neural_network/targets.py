"""What a network predicts for each kind of targets: its outputs, loss and errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import unique_labels

from dlbd_estimators.base.class_weights import class_factors, count_labels
from dlbd_estimators.base.validation import Data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.labels import LabelCounts
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    Loss,
)
from dlbd_estimators.kernels.scores import (
    Errors,
    OtherClass,
    SquaredErrors,
    WrongClass,
    WrongLabels,
)


@dataclass(frozen=True)
class TargetSpec:
    """Properties of a network that depend on its targets.

    Attributes
    ----------
    encoding : Encoding
        Converts stored targets to those of the loss.
    n_outputs : int
        Number of raw predictions per row.
    loss : Loss
        Loss of the raw predictions.
    errors : Errors
        The errors that a score counts.
    out_activation : str
        scikit-learn's name of the function from raw predictions to predictions.
    attributes : dict
        Attributes to set on the fitted estimator.
    """

    encoding: Encoding
    n_outputs: int
    loss: Loss
    errors: Errors
    out_activation: str
    attributes: dict[str, Any] = field(default_factory=dict)


#: Targets that are numbers, for one output, by the parameter ``loss`` of the regressor.
NUMBERS = {
    "squared_error": TargetSpec(Encoding(), 1, HalfSquaredError(), SquaredErrors(), "identity"),
    "poisson": TargetSpec(
        Encoding(counts=True), 1, HalfPoissonDeviance(), SquaredErrors(np.exp), "exp"
    ),
}


def label_targets(estimator: Any, n_labels: int, known: Any) -> TargetSpec:
    """Return the properties of a network that predicts several labels per row.

    Raises
    ------
    ValueError
        The labels differ from those of an earlier fit, or ``class_weight`` is not None.
    """
    if estimator.class_weight is not None:
        raise ValueError(
            "class_weight is for classes, but y has several labels per row. Leave class_weight out."
        )
    classes = np.arange(n_labels)
    if known is not None and not np.array_equal(known, classes):
        raise ValueError(
            f"y has {n_labels} labels per row, but the classes are {known}. If each column of y "
            f"holds classes, fit one model to each column y[:, j]."
        )
    return TargetSpec(
        Encoding(labels=True),
        n_labels,
        HalfBinomialLoss(),
        WrongLabels(),
        "logistic",
        attributes={"classes_": classes},
    )


def classes_of(estimator: Any, classes: Any) -> NDArray[Any] | None:
    """Return the classes that a caller of ``partial_fit`` passed or declared, sorted.

    Raises
    ------
    ValueError
        ``classes`` is missing in the first call, or differs from that of an earlier call.
    """
    last = getattr(estimator, "classes_", None)
    if classes is None:
        declared = getattr(estimator.privacy, "classes", None)
        if last is None and declared is not None:
            return np.asarray(declared)
        if last is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return None
    passed = np.asarray(unique_labels(classes))
    if last is not None and not np.array_equal(last, passed):
        raise ValueError(
            f"`classes={passed}` is not the same as on last call to partial_fit, was: {last}"
        )
    return passed


def class_targets(
    estimator: Any, executor: Executor, data: Data, known: Any, *, incremental: bool
) -> TargetSpec:
    """Return the properties of a network for the classes found in a pass over the labels.

    Parameters
    ----------
    estimator : estimator
        Its ``class_weight`` is used; it is named in messages.
    executor : Executor
        Runs the pass.
    data : Data
        The training data.
    known : ndarray of shape (n_classes,) or None
        Classes of an earlier fit, or those that the user passed.
    incremental : bool
        Whether some of the known classes may be missing in the data.

    Raises
    ------
    ValueError
        The classes in the data differ from the known ones.
    """
    if isinstance(estimator.class_weight, str) and incremental:
        raise ValueError(
            "class_weight='balanced' cannot be used with partial_fit, which has not seen all "
            "rows. Pass a dict of factors, computed from all labels."
        )
    counts = count_labels(estimator, executor, data.blocks, "mlpclassifier", fewest=1)
    if known is not None:
        _check_known(counts, known, incremental=incremental)
        counts = _counts_of_all(counts, known)
    return target_spec_of_classes(Encoding(counts.labels, class_factors(estimator, counts)))


def target_spec_of_classes(encoding: Encoding) -> TargetSpec:
    """Return the properties of a network for the classes of an encoding."""
    labels = encoding.classes
    assert labels is not None
    # A single class has one output, as in scikit-learn: for a second class that never occurs.
    binary = len(labels) <= 2
    return TargetSpec(
        encoding,
        1 if binary else len(labels),
        HalfBinomialLoss() if binary else HalfMultinomialLoss(),
        WrongClass() if len(labels) > 1 else OtherClass(),
        "logistic" if binary else "softmax",
        attributes={"classes_": labels},
    )


def _check_known(counts: LabelCounts, known: Any, *, incremental: bool) -> None:
    unknown = np.setdiff1d(counts.labels, known)
    if incremental and len(unknown):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has "
            f"{counts.labels}."
        )
    if not incremental and not np.array_equal(counts.labels, known):
        raise ValueError(
            f"warm_start can only be used where `y` has the same classes as in the previous "
            f"call to fit. Previously got {known}, `y` has {counts.labels}"
        )


def _counts_of_all(counts: LabelCounts, classes: Any) -> LabelCounts:
    """Return counts for all classes, which are zero for classes without rows."""
    positions = np.searchsorted(classes, counts.labels)
    rows, weights = np.zeros(len(classes), dtype=np.int64), np.zeros(len(classes))
    rows[positions], weights[positions] = counts.counts, counts.weights
    return LabelCounts(np.asarray(classes), rows, weights, counts.n_rows)
