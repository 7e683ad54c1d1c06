"""How the perceptrons are converted to scikit-learn's.

scikit-learn's perceptrons need some private attributes, which have no public way to be set. They
are set on the instance, and no private module is imported. Tests predict and continue training for
every kind of target, so that they fail if a release of scikit-learn renames these attributes.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from dlbd_estimators.base.to_sklearn import SklearnCounterpart

_ATTRIBUTES = (
    "best_loss_",
    "best_validation_score_",
    "classes_",
    "coefs_",
    "intercepts_",
    "loss_",
    "loss_curve_",
    "n_iter_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "t_",
    "validation_scores_",
)


def _complete_regressor(model: Any) -> None:
    # partial_fit needs these; the state of the optimiser is not converted.
    model._random_state = check_random_state(deepcopy(model.random_state))
    model._no_improvement_count = 0


def _complete_classifier(model: Any) -> None:
    from sklearn.preprocessing import LabelBinarizer

    _complete_regressor(model)
    several_labels = model.out_activation_ == "logistic" and model.n_outputs_ > 1
    # For several labels it is fitted to a matrix. Classes are repeated: if all are different,
    # scikit-learn warns that they look like the targets of a regression.
    examples = np.eye(model.n_outputs_, dtype=int) if several_labels else np.tile(model.classes_, 2)
    model._label_binarizer = LabelBinarizer().fit(examples)


def _adapt(parameters: dict[str, Any]) -> None:
    # scikit-learn has no such schedule. It matters only for a new fit.
    if parameters["learning_rate"] == "cosine":
        parameters["learning_rate"] = "constant"


CLASSIFIER = SklearnCounterpart(
    "sklearn.neural_network.MLPClassifier",
    _ATTRIBUTES,
    adapt=_adapt,
    complete=_complete_classifier,
)
REGRESSOR = SklearnCounterpart(
    "sklearn.neural_network.MLPRegressor",
    _ATTRIBUTES,
    adapt=_adapt,
    complete=_complete_regressor,
)
