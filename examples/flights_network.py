"""The network that predicts late flights, and scikit-learn's of the same parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier as InMemory

from dlbd_estimators import MLPClassifier

#: Chosen on two parts of the training rows: flights drawn at random, and all flights of some days.
#: Larger networks with a weaker penalty do better on the former, but learn days by heart: on days
#: that they have not seen, they are worse than logistic regression.
PARAMETERS: dict[str, Any] = {
    "hidden_layer_sizes": (32,),
    "alpha": 1.0,
    "batch_size": 512,
    "max_iter": 60,
    "early_stopping": True,
    "n_iter_no_change": 3,
    "random_state": 2013,
}
#: Two replicas, one for each worker, in buffers that do not hold all training rows.
OUT_OF_CORE = {"n_replicas": 2, "buffer_size": "32 MiB"}


@dataclass(frozen=True)
class Curve:
    """How a network was trained, beside a model to compare it with.

    Attributes
    ----------
    losses, scores : list of float
        By epoch: the objective of the batches, and the share of right answers on rows held out.
    kept : int
        Index of the epoch whose network was kept.
    loss : float
        Log-loss of that network on the training rows.
    other_loss, other_score : float
        Log-loss and share of right answers of the other model on the training rows.
    """

    losses: list[float]
    scores: list[float]
    kept: int
    loss: float
    other_loss: float
    other_score: float

    @classmethod
    def of(
        cls,
        network: MLPClassifier,
        late: npt.NDArray[np.bool_],
        probability: npt.NDArray[np.floating[Any]],
        other: npt.NDArray[np.floating[Any]],
    ) -> Curve:
        """Collect it from a fitted network and what both models say of the training rows.

        Parameters
        ----------
        network : MLPClassifier
            Fitted with ``early_stopping``.
        late : ndarray of bool
            What happened.
        probability, other : ndarray of float
            What the network said, and the other model.
        """
        scores = network.validation_scores_
        assert scores is not None
        return cls(
            network.loss_curve_,
            scores,
            int(np.argmax(scores)),
            float(log_loss(late, probability)),
            float(log_loss(late, other)),
            float(((other > 0.5) == late).mean()),
        )


def out_of_core() -> MLPClassifier:
    """The network, to be trained from the stored data set."""
    return MLPClassifier(**PARAMETERS, **OUT_OF_CORE)


def in_memory() -> InMemory:
    """scikit-learn's network of the same parameters. It takes the rows in another order."""
    return InMemory(**PARAMETERS)
