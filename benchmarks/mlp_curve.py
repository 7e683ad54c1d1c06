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
        What was trained.
    seconds : list of float
        Of training, from the start to the end of each epoch.
    losses : list of float
        Mean log-loss of rows held out.
    """

    label: str
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def epochs_to(self, loss: float) -> int | None:
        """Epochs until the loss was as small as this, or None."""
        return next((n + 1 for n, found in enumerate(self.losses) if found <= loss), None)


def follow(
    label: str,
    model: MLPClassifier,
    X: Any,
    y: Any,
    held_out: Rows,
    enough: Callable[[Curve], bool],
) -> Curve:
    """Train epoch by epoch, and compute the loss of rows held out after each.

    Parameters
    ----------
    label : str
        Of the curve.
    model : MLPClassifier
        Not fitted yet.
    X, y : array or dask.array.Array
        What to train on.
    held_out : tuple of ndarray
        Features and classes of other rows.
    enough : callable
        Tells from the curve so far whether to stop.
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
