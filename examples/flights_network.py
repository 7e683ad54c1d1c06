"""The network that predicts late flights, and scikit-learn's with the same parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier as InMemory

from dlbd_estimators import MLPClassifier

#: Chosen on two parts of the training rows: flights drawn at random, and all flights of some days.
#: Larger networks with a weaker penalty are better on the former, but they memorise the days: on
#: days that they have not seen, they are worse than logistic regression.
PARAMETERS: dict[str, Any] = {
    "hidden_layer_sizes": (32,),
    "alpha": 1.0,
    "batch_size": 512,
    "max_iter": 60,
    "early_stopping": True,
    "n_iter_no_change": 3,
    "random_state": 2013,
}
#: Two replicas, one for each worker. Their buffers are too small for all training rows.
OUT_OF_CORE = {"n_replicas": 2, "buffer_size": "32 MiB"}


@dataclass(frozen=True)
class Curve:
    """The course of a network's training, and another model to compare it with.

    Attributes
    ----------
    losses, scores : list of float
        For each epoch: the objective of the batches, and the accuracy on held-out rows.
    kept : int
        Index of the epoch whose network was kept.
    loss : float
        Log-loss of that network on the training rows.
    other_loss, other_score : float
        Log-loss and accuracy of the other model on the training rows.
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
        """Return the curve of a fitted network, from both models' predictions of training rows.

        Parameters
        ----------
        network : MLPClassifier
            Fitted with ``early_stopping``.
        late : ndarray of bool
            Whether each flight was late.
        probability, other : ndarray of float
            The predicted probability of being late, by the network and by the other model.
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
    """Return the network to train on the stored data set."""
    return MLPClassifier(**PARAMETERS, **OUT_OF_CORE)


def in_memory() -> InMemory:
    """Return scikit-learn's network with the same parameters, which shuffles rows differently."""
    return InMemory(**PARAMETERS)
