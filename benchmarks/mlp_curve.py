"""One curve: the validation loss of a network after each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mlp_workload import CLASSES, Rows
from sklearn.metrics import log_loss

from dlbd_estimators import MLPClassifier


@dataclass
class Curve:
    """Validation loss after each epoch.

    Attributes
    ----------
    label : str
        Description of the training, for legends.
    seconds : list of float
        Seconds of training from the start of the first epoch to the end of each epoch.
    losses : list of float
        Mean log-loss of held-out rows after each epoch.
    """

    label: str
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def epochs_to(self, loss: float) -> int | None:
        """Return the number of epochs until the loss was at most `loss`; None if it never was."""
        return next((n + 1 for n, found in enumerate(self.losses) if found <= loss), None)


def follow(
    label: str,
    model: MLPClassifier,
    X: Any,
    y: Any,
    held_out: Rows,
    enough: Callable[[Curve], bool],
) -> Curve:
    """Train epoch by epoch, and compute the loss of held-out rows after each epoch.

    Parameters
    ----------
    label : str
        Label of the curve.
    model : MLPClassifier
        Network that is not fitted yet.
    X, y : array or dask.array.Array
        Training data.
    held_out : tuple of ndarray
        Features and classes of other rows.
    enough : callable
        Takes the curve up to now, and returns whether to stop.
    """
    curve = Curve(label)
    classes = np.arange(CLASSES)
    seconds = 0.0
    while not enough(curve):
        began = time.perf_counter()
        model.partial_fit(X, y, classes=classes)
        seconds += time.perf_counter() - began
        curve.seconds.append(seconds)
        probabilities = model.predict_proba(held_out[0])
        curve.losses.append(float(log_loss(held_out[1], probabilities, labels=classes)))
    return curve
