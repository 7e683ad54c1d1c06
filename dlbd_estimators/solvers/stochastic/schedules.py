"""Learning rates that depend only on the number of the epoch: linear warm-up, and a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochSchedule:
    """``rate (t + 1) / (w + 1)`` in epoch t < w; then the rate is constant, or follows a cosine.

    The cosine is ``rate (1 + cos(pi (t - w) / (T - w))) / 2`` (Loshchilov and Hutter, arXiv
    1608.03983, without restarts). In PyTorch, this is ``LinearLR(start_factor=1 / (w + 1),
    total_iters=w)`` followed by ``CosineAnnealingLR(T_max=T - w)``, with one step for each epoch.

    Parameters
    ----------
    learning_rate : float
        The rate after the warm-up.
    warmup_epochs : int
        Number w of epochs of the warm-up.
    n_epochs : int or None
        Number T of all epochs, at which the cosine would reach 0. In later epochs the rate is that
        of epoch T - 1. None keeps the rate constant after the warm-up.
    """

    learning_rate: float
    warmup_epochs: int = 0
    n_epochs: int | None = None

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch; the first one has the number 0."""
        warmup = self.warmup_epochs
        if epoch < warmup:
            return self.learning_rate * (epoch + 1) / (warmup + 1)
        if self.n_epochs is None:
            return self.learning_rate
        share = (min(epoch, self.n_epochs - 1) - warmup) / (self.n_epochs - warmup)
        return self.learning_rate * (1.0 + math.cos(math.pi * share)) / 2.0
